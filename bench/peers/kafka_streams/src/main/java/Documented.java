import io.apicurio.registry.serde.avro.AvroSerde;
import io.apicurio.registry.serde.config.SerdeConfig;
import java.util.Locale;
import java.util.Map;
import org.apache.avro.generic.GenericRecord;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;

/** The job as the documentation has it: records through the registry's own Avro serde, default settings everywhere. */
final class Documented {
    private Documented() { }

    static void build(StreamsBuilder builder, String input, String output, String registryUrl) {
        // Apicurio's serde, as Confluent's is not on Maven Central. Its default wire format is Confluent's: a zero byte
        // and a four-byte content id, no headers.
        Serde<GenericRecord> orders = new AvroSerde<>();
        orders.configure(Map.of(SerdeConfig.REGISTRY_URL, registryUrl, SerdeConfig.AUTO_REGISTER_ARTIFACT, true), false);
        builder.stream(input, Consumed.with(Serdes.ByteArray(), orders))
            .filter((key, order) -> (Double) order.get("amount") >= 0)
            .mapValues(Documented::change)
            .to(output, Produced.with(Serdes.ByteArray(), orders));
    }

    private static GenericRecord change(GenericRecord order) {
        order.put("email", order.get("email").toString().toLowerCase(Locale.ROOT));
        order.put("status", order.get("status").toString().toUpperCase(Locale.ROOT));
        order.put("amount", (Double) order.get("amount") * 1.1);
        return order;
    }
}
