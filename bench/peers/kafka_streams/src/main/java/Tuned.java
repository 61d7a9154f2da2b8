import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Locale;
import java.util.Properties;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;

/** The job tuned as we are: bytes through, one known schema, everything reused from record to record, large polls and batches. */
final class Tuned {
    private final GenericDatumReader<GenericRecord> reader;
    private final GenericDatumWriter<GenericRecord> writer;
    private final ByteArrayOutputStream bytes = new ByteArrayOutputStream(256);
    private BinaryDecoder decoder;
    private BinaryEncoder encoder;
    private GenericRecord row;

    /** What one thread reuses. */
    private Tuned(Schema schema) {
        reader = new GenericDatumReader<>(schema);
        writer = new GenericDatumWriter<>(schema);
        row = new GenericData.Record(schema);
    }

    static void settings(Properties properties) {
        properties.put("compression.type", "lz4");
        properties.put("linger.ms", "5");
        properties.put("max.poll.records", "20000");
        properties.put("batch.size", "1000000");
        properties.put("buffer.memory", "134217728");
    }

    static void build(StreamsBuilder builder, String input, String output, Schema schema) {
        ThreadLocal<Tuned> mine = ThreadLocal.withInitial(() -> new Tuned(schema));
        builder.stream(input, Consumed.with(Serdes.ByteArray(), Serdes.ByteArray()))
            .mapValues(value -> mine.get().apply(value))
            .filter((key, value) -> value != null)
            .to(output, Produced.with(Serdes.ByteArray(), Serdes.ByteArray()));
    }

    private byte[] apply(byte[] value) {
        try {
            decoder = DecoderFactory.get().binaryDecoder(value, 5, value.length - 5, decoder);
            row = reader.read(row, decoder);
            double amount = (Double) row.get("amount");
            if (amount < 0) {
                return null;
            }
            row.put("email", row.get("email").toString().toLowerCase(Locale.ROOT));
            row.put("status", row.get("status").toString().toUpperCase(Locale.ROOT));
            row.put("amount", amount * 1.1);
            bytes.reset();
            bytes.write(value, 0, 5);
            encoder = EncoderFactory.get().binaryEncoder(bytes, encoder);
            writer.write(row, encoder);
            encoder.flush();
            return bytes.toByteArray();
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }
}
