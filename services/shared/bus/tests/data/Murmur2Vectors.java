// Makes murmur2.tsv with Kafka's own client: java -cp '.weir/kafka/lib/*' Murmur2Vectors.java > murmur2.tsv
import java.util.HexFormat;
import java.util.Random;
import org.apache.kafka.common.utils.AppInfoParser;
import org.apache.kafka.common.utils.Utils;

public class Murmur2Vectors {
    static void line(byte[] key) {
        int hash = Utils.murmur2(key);
        StringBuilder out = new StringBuilder(HexFormat.of().formatHex(key)).append('\t').append(hash);
        for (int count : new int[] {1, 7, 12, 1000}) out.append('\t').append(Utils.toPositive(hash) % count);
        System.out.println(out);
    }

    public static void main(String[] args) throws Exception {
        System.out.println("# kafka-clients " + AppInfoParser.getVersion() + ": key, murmur2, toPositive(murmur2) % 1, 7, 12, 1000");
        Random random = new Random(1);
        for (int length = 0; length <= 40; length++) {
            for (int i = 0; i < 3; i++) {
                byte[] key = new byte[length];
                random.nextBytes(key);
                line(key);
            }
        }
        for (int last = 0; last < 24; last++) {
            byte[] mapped = new byte[16];
            mapped[10] = mapped[11] = (byte) 0xff;
            mapped[12] = (byte) 192; mapped[14] = 2; mapped[15] = (byte) (last * 11);
            line(mapped);
        }
    }
}
