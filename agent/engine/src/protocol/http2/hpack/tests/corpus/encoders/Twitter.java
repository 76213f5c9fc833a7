import com.twitter.hpack.Encoder;
import java.io.ByteArrayOutputStream;
import java.nio.file.*;
import java.util.HexFormat;

class Twitter {
    public static void main(String[] args) throws Exception {
        HexFormat hex = HexFormat.of();
        Encoder encoder = null;
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        for (String line : Files.readAllLines(Path.of(args[0]))) {
            String[] word = (line + " ").split(" ", -1);
            switch (word[0]) {
                case "S":
                    encoder = new Encoder(4096);
                    System.out.println(line);
                    break;
                case "T":
                    encoder.setMaxHeaderTableSize(out, Integer.parseInt(word[1]));
                    break;
                case "F", "N":
                    encoder.encodeHeader(out, hex.parseHex(word[1]), hex.parseHex(word[2]), word[0].equals("N"));
                    break;
                default:
                    System.out.println(hex.formatHex(out.toByteArray()));
                    out.reset();
            }
        }
    }
}
