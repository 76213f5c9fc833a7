#!/bin/sh
# Writes stories.txt and the *.hex of every encoder. Needs python3 with hpack 4, gcc with libnghttp2, node and npm,
# perl with Protocol::HTTP2, go, maven with a JDK of at least 17, cargo.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
encoders=$here/encoders
stories=$here/stories.txt
python3 "$here/stories.py" > "$stories"

python3 "$encoders/python_hpack.py" "$stories" > "$here/python_hpack.hex"

gcc -o nghttp2 "$encoders/nghttp2.c" -lnghttp2
./nghttp2 "$stories" > "$here/nghttp2.hex"

npm install --silent hpack.js@2.1.6
NODE_PATH=node_modules node "$encoders/hpack_js.js" "$stories" > "$here/hpack_js.hex"

perl "$encoders/perl.pl" "$stories" > "$here/perl.hex"

mkdir go && cp "$encoders/go.go" go/main.go
(cd go && go mod init corpus && go get golang.org/x/net@v0.47.0 && go run . "$stories" > "$here/go.hex")

cat > pom.xml <<'POM'
<project><modelVersion>4.0.0</modelVersion><groupId>corpus</groupId><artifactId>corpus</artifactId><version>1</version><dependencies>
<dependency><groupId>io.netty</groupId><artifactId>netty-codec-http2</artifactId><version>4.1.115.Final</version></dependency>
<dependency><groupId>com.twitter</groupId><artifactId>hpack</artifactId><version>1.0.2</version></dependency>
</dependencies></project>
POM
mvn -q -B dependency:copy-dependencies -DoutputDirectory=jars
java -cp 'jars/*' "$encoders/Netty.java" "$stories" > "$here/netty.hex"
java -cp 'jars/*' "$encoders/Twitter.java" "$stories" > "$here/twitter.hex"

cargo init --quiet --bin --name corpus crates
cd crates
cp "$encoders/crates.rs" src/main.rs
mkdir src/bin && cp "$encoders/h2.rs" src/bin/
cargo add --quiet hpack@0.3.0 httlib-hpack@0.1.3 h2@0.4 http@1
cargo add --quiet tokio@1 --features full
for which in hpack httlib; do
    cargo run --quiet --bin corpus -- "$which" "$stories" > "$here/$which.hex"
done
cargo run --quiet --bin h2 -- "$stories" > "$here/h2.hex"
