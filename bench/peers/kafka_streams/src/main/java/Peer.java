import java.io.ByteArrayOutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
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
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;

/**
 * The job of bench/stage.py in Kafka Streams, exactly_once_v2: decode, filter, change three fields, encode.
 *
 * Arguments: bootstrap servers, input topic, output topic, schema file, application id, state folder, threads. Runs until
 * standard input ends; the bench measures progress by committed offsets.
 */
public final class Peer {
    private static final ThreadLocal<Job> JOB = new ThreadLocal<>();
    private static Schema schema;

    /** What one thread reuses from record to record. */
    private static final class Job {
        final GenericDatumReader<GenericRecord> reader = new GenericDatumReader<>(schema);
        final GenericDatumWriter<GenericRecord> writer = new GenericDatumWriter<>(schema);
        final ByteArrayOutputStream bytes = new ByteArrayOutputStream(256);
        BinaryDecoder decoder;
        BinaryEncoder encoder;
        GenericRecord row = new GenericData.Record(schema);

        byte[] apply(byte[] value) {
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
            } catch (java.io.IOException error) {
                throw new java.io.UncheckedIOException(error);
            }
        }
    }

    private static byte[] apply(byte[] value) {
        Job job = JOB.get();
        if (job == null) {
            job = new Job();
            JOB.set(job);
        }
        return job.apply(value);
    }

    public static void main(String[] args) throws Exception {
        schema = new Schema.Parser().parse(Files.readString(Path.of(args[3])));
        Properties properties = new Properties();
        properties.put(StreamsConfig.APPLICATION_ID_CONFIG, args[4]);
        properties.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]);
        properties.put(StreamsConfig.STATE_DIR_CONFIG, args[5]);
        properties.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        properties.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, args[6]);
        properties.put("auto.offset.reset", "earliest");
        properties.put("compression.type", "lz4");
        properties.put("linger.ms", "5");
        properties.put("max.poll.records", "20000");
        properties.put("batch.size", "1000000");
        properties.put("buffer.memory", "134217728");
        StreamsBuilder builder = new StreamsBuilder();
        builder.<byte[], byte[]>stream(args[1], org.apache.kafka.streams.kstream.Consumed.with(Serdes.ByteArray(), Serdes.ByteArray()))
            .mapValues(Peer::apply)
            .filter((key, value) -> value != null)
            .to(args[2], org.apache.kafka.streams.kstream.Produced.with(Serdes.ByteArray(), Serdes.ByteArray()));
        KafkaStreams streams = new KafkaStreams(builder.build(), properties);
        CountDownLatch ended = new CountDownLatch(1);
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            ended.countDown();
            return org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        Thread reader = new Thread(() -> {
            try {
                while (System.in.read() >= 0) { }
            } catch (java.io.IOException ignored) {
                // The bench is gone: end as if it had closed the pipe.
            }
            ended.countDown();
        });
        reader.setDaemon(true);
        reader.start();
        streams.start();
        ended.await();
        streams.close(java.time.Duration.ofSeconds(TimeUnit.SECONDS.toSeconds(10)));
    }
}
