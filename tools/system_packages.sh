# Installs the optional programs that some tests use, where that needs no question asked; says loudly what is missing.
set -euo pipefail

declare -A package_of=([kcat]=kcat [faketime]=faketime [prometheus]=prometheus [chromium]=chromium)
missing=()
for program in kcat faketime prometheus chromium; do
  command -v "$program" >/dev/null || missing+=("${package_of[$program]}")
done
if [ "${#missing[@]}" -eq 0 ]; then exit 0; fi

if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
  echo "install: system packages ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq >/dev/null 2>&1 || true
  for package in "${missing[@]}"; do
    # RUNLEVEL=1 keeps a package from starting its service
    RUNLEVEL=1 timeout 240 apt-get install -y -qq --no-install-recommends "$package" >/dev/null 2>&1 || true
  done
fi

for program in kcat faketime prometheus chromium; do
  command -v "$program" >/dev/null || echo "install: OPTIONAL PROGRAM MISSING: $program (package ${package_of[$program]}); the tests that use it will be skipped" >&2
done
