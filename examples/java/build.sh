#!/bin/sh
# Builds build/ with Java and its libraries as Debian packages them, without Maven.
set -eu
cd "$(dirname "$0")"

mkdir -p build/messages build/classes
protoc --proto_path=../../proto --java_out=build/messages \
    --plugin=protoc-gen-grpc-java=/usr/bin/grpc_java_plugin --grpc-java_out=build/messages \
    google/rpc/status.proto humbaba/v1/types.proto humbaba/v1/authorization_service.proto

libraries=
for jar in grpc-api grpc-context grpc-core grpc-netty grpc-protobuf grpc-protobuf-lite grpc-stub protobuf \
    netty-buffer netty-codec netty-codec-http netty-codec-http2 netty-codec-socks netty-common netty-handler \
    netty-handler-proxy netty-resolver netty-transport netty-transport-native-epoll \
    netty-transport-native-unix-common guava perfmark-api geronimo-annotation-1.3-spec gson xerial-sqlite-jdbc; do
    libraries=$libraries:/usr/share/java/$jar.jar
done
echo "build/classes$libraries" >build/classpath
javac -Xlint:all,-processing,-classfile -Werror -d build/classes -cp "${libraries#:}" \
    -implicit:none -sourcepath build/messages $(find build/messages src -name '*.java')
