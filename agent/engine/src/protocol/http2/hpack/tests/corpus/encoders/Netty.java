import io.netty.buffer.*;
import io.netty.handler.codec.http2.*;
import io.netty.util.AsciiString;
import java.nio.file.*;
import java.util.*;

/** Also the encoder of grpc-java. */
class Netty {
    static AsciiString text(String hex) {
        return new AsciiString(HexFormat.of().parseHex(hex), false);
    }

    public static void main(String[] args) throws Exception {
        DefaultHttp2HeadersEncoder encoder = null;
        Http2Headers fields = new DefaultHttp2Headers(false);
        Set<CharSequence> secrets = new HashSet<>();
        for (String line : Files.readAllLines(Path.of(args[0]))) {
            String[] word = (line + " ").split(" ", -1);
            switch (word[0]) {
                case "S":
                    encoder = new DefaultHttp2HeadersEncoder((name, value) -> secrets.contains(value), true);
                    encoder.configuration().maxHeaderListSize(1 << 20);
                    System.out.println(line);
                    break;
                case "T":
                    encoder.configuration().maxHeaderTableSize(Long.parseLong(word[1]));
                    break;
                case "N":
                    secrets.add(text(word[2]));
                case "F":
                    fields.add(text(word[1]), text(word[2]));
                    break;
                default:
                    ByteBuf out = Unpooled.buffer();
                    encoder.encodeHeaders(3, fields, out);
                    System.out.println(ByteBufUtil.hexDump(out));
                    fields = new DefaultHttp2Headers(false);
                    secrets.clear();
            }
        }
    }
}
