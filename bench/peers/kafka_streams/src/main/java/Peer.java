import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.avro.Schema;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;

/**
 * The job of bench/stage.py in Kafka Streams, exactly_once_v2: decode, filter, change three fields, encode.
 *
 * Arguments: documented or tuned, bootstrap servers, input topic, output topic, application id, state folder, threads, and
 * where the schema is: the registry's URL (documented) or a file (tuned). Runs until standard input ends; the bench measures
 * progress by committed offsets.
 */
public final class Peer {
    private Peer() { }

    public static void main(String[] args) throws Exception {
        Properties properties = new Properties();
        properties.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args[1]);
        properties.put(StreamsConfig.APPLICATION_ID_CONFIG, args[4]);
        properties.put(StreamsConfig.STATE_DIR_CONFIG, args[5]);
        properties.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, args[6]);
        properties.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        StreamsBuilder builder = new StreamsBuilder();
        if (args[0].equals("documented")) {
            Documented.build(builder, args[2], args[3], args[7]);
        } else {
            Tuned.settings(properties);
            Tuned.build(builder, args[2], args[3], new Schema.Parser().parse(Files.readString(Path.of(args[7]))));
        }
        KafkaStreams streams = new KafkaStreams(builder.build(), properties);
        CountDownLatch ended = new CountDownLatch(1);
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            ended.countDown();
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        Thread reader = new Thread(() -> {
            try {
                while (System.in.read() >= 0) { }
            } catch (IOException ignored) {
                // The bench is gone: end as if it had closed the pipe.
            }
            ended.countDown();
        });
        reader.setDaemon(true);
        reader.start();
        streams.start();
        ended.await();
        streams.close(Duration.ofSeconds(10));
        System.exit(0); // the registry's client keeps threads of its own
    }
}
