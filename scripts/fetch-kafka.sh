#!/bin/sh
# Fetches the jars of a Kafka broker from Maven Central into $WEIR_HOME/kafka/lib (default: .weir beside Cargo.toml).
# Does nothing where they are there already.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
home=${WEIR_HOME:-$root/.weir}
pom=$root/loadtest/stack/kafka/pom.xml
version=$(sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' "$pom")
stamp=$home/kafka/pom.xml

if [ -d "$home/kafka/lib" ] && cmp -s "$stamp" "$pom"; then
    exit 0
fi

for tool in java mvn; do
    command -v "$tool" >/dev/null || {
        echo "fetch-kafka: $tool is missing; on Debian: apt-get install -y openjdk-17-jre-headless maven" >&2
        exit 1
    }
done

echo "fetch-kafka: Kafka $version into $home/kafka (54 MB)"
mkdir -p "$home/kafka"
rm -rf "$home/kafka/lib" "$home/kafka/lib.part"
log=$home/kafka/fetch.log
mvn -B -q -f "$pom" dependency:copy-dependencies -DincludeScope=runtime \
    -DoutputDirectory="$home/kafka/lib.part" >"$log" 2>&1 || {
    echo "fetch-kafka: Maven could not fetch Kafka $version: $(grep -m1 ERROR "$log" || echo "see $log")" >&2
    exit 1
}
mv "$home/kafka/lib.part" "$home/kafka/lib"
cp "$pom" "$stamp"
