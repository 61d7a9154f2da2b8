"""The report of tests that build servers read: JUnit's XML."""

from collections.abc import Sequence
from xml.etree import ElementTree

from headrace.transform.trial import Verdict

Suite = tuple[str, str, Sequence[Verdict]]
"""A dataset, the file it is declared in, and how its tests went."""


def junit(suites: Sequence[Suite]) -> str:
    """The report: a suite for each dataset, a case for each test, what differs as the text of its failure."""
    root = ElementTree.Element("testsuites", {"name": "headrace", **_sums([v for *_, found in suites for v in found])})
    for dataset, file, verdicts in suites:
        suite = ElementTree.SubElement(root, "testsuite", {"name": dataset, "file": file, **_sums(verdicts)})
        for verdict in verdicts:
            case = ElementTree.SubElement(
                suite, "testcase", classname=dataset, name=verdict.test, time=f"{verdict.took_s:.3f}"
            )
            if not verdict.passed:
                text = _printable("\n".join(map(str, verdict.differences)))
                message = text.partition("\n")[0]
                kind = "error" if _is_error(verdict) else "failure"
                ElementTree.SubElement(case, kind, message=message).text = text
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _is_error(verdict: Verdict) -> bool:
    return any(difference.kind == "error" for difference in verdict.differences)


def _sums(verdicts: Sequence[Verdict]) -> dict[str, str]:
    errors = sum(map(_is_error, verdicts))
    failed = sum(not verdict.passed for verdict in verdicts)
    return {
        "tests": str(len(verdicts)),
        "failures": str(failed - errors),
        "errors": str(errors),
        "time": f"{sum(verdict.took_s for verdict in verdicts):.3f}",
    }


def _printable(text: str) -> str:
    """XML has no place for control characters."""
    return "".join(c if c in "\n\t" or c.isprintable() else repr(c)[1:-1] for c in text)
