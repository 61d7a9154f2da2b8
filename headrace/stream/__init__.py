"""The data plane: values a stage sees, the pump that moves them, and the books that account for them."""
