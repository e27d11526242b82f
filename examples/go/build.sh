#!/bin/sh
# Builds build/backend with Go and its libraries as Debian packages them, without a module proxy.
#
#   ./build.sh               all
#   ./build.sh --messages    only the messages and the client of the contract, into humbabav1/
set -eu
cd "$(dirname "$0")"

packages=Mhumbaba/v1/types.proto=backend/humbabav1
packages=$packages,Mhumbaba/v1/authorization_service.proto=backend/humbabav1
packages=$packages,Mgoogle/rpc/status.proto=google.golang.org/genproto/googleapis/rpc/status
protoc --proto_path=../../proto \
    --go_out=. --go_opt="module=backend,$packages" \
    --go-grpc_out=. --go-grpc_opt="module=backend,$packages" \
    humbaba/v1/types.proto humbaba/v1/authorization_service.proto
if [ "${1:-}" = --messages ]; then exit; fi

# Debian's libraries are a GOPATH, so this package is made part of one.
mkdir -p build/gopath/src
ln -sfn "$PWD" build/gopath/src/backend
GO111MODULE=off GOPATH="$PWD/build/gopath:/usr/share/gocode" go build -o build/backend backend
