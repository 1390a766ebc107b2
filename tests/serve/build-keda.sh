#!/usr/bin/env bash
# Builds the real KEDA operator from its Go module into FOLDER (minutes, once): keda-operator and crd/.
set -euo pipefail
folder=$(mkdir -p "$1" && cd "$1" && pwd)
version=v2.21.0
[ -x "$folder/keda-operator" ] && exit 0
command -v go >/dev/null || export PATH=$PATH:/usr/local/go/bin
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
printf 'module probe\n' >go.mod
source=$(GOFLAGS=-mod=mod go mod download -json "github.com/kedacore/keda/v2@$version" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
# A module cannot be installed while its go.mod replaces others, so: one of our own with the same replacements.
{
  echo "module kedabuild"
  grep -E '^go ' "$source/go.mod"
  echo "require github.com/kedacore/keda/v2 $version"
  awk '/^replace \(/{p=1} p{print} /^\)/{p=0} /^replace [^(]/{print}' "$source/go.mod"
} >go.mod
cp "$source/go.sum" go.sum
chmod u+w go.sum
printf '//go:build tools\npackage tools\nimport _ "github.com/kedacore/keda/v2/cmd/operator"\n' >tools.go
GOFLAGS=-mod=mod go build -ldflags "-s -w" -o "$folder/keda-operator" github.com/kedacore/keda/v2/cmd/operator
cp -r "$source/config/crd/bases" "$folder/crd"
chmod -R u+w "$folder/crd"
