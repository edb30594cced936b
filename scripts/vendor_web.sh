#!/usr/bin/env bash
# The page's libraries and fonts, and the accessibility checker of its tests, from npm: exactly these files.
#
#   scripts/vendor_web.sh            writes src/ecurie/web/vendor and tests/data/axe anew
#
# Nothing is built. Modules name each other by relative paths, since the page's policy allows no import map; that, and
# the comments that name source maps, is all that is changed.
set -euo pipefail
cd "$(dirname "$0")/.."

target=$PWD/src/ecurie/web/vendor
axe=$PWD/tests/data/axe
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# package NAME VERSION SHA256: prints the folder that it was unpacked to.
package() {
    local folder=$work/${1//[@\/]/_}
    mkdir -p "$folder"
    local archive
    archive=$(cd "$work" && npm pack --silent "$1@$2")
    echo "$3  $work/$archive" | sha256sum --check --quiet >&2
    tar xzf "$work/$archive" -C "$folder"
    echo "$folder/package"
}

# module SOURCE NAME
module() {
    sed -E -e 's#(from ?)"preact/hooks"#\1"./hooks.js"#g' \
        -e 's#(from ?)"preact"#\1"./preact.js"#g' \
        -e 's#(from ?)"@preact/signals-core"#\1"./signals-core.js"#g' \
        -e '/^\/\/# sourceMappingURL=/d' "$1" >"$target/$2"
}

rm -rf "$target" "$axe"
mkdir -p "$target" "$axe"

preact=$(package preact 11.2.0 3c4456766bd32b6b534d52bf4e9c2a29b33e7eedf6e96ed479300ba1a7888ebf)
module "$preact/dist/preact.mjs" preact.js
module "$preact/hooks/dist/hooks.mjs" hooks.js
cp "$preact/LICENSE" "$target/LICENSE.preact.txt"

signals=$(package @preact/signals 2.11.4 66ea8221dd8aaa0da2365d49c3f116b071d56cfb63b2e16c072c6b4e08a928b7)
module "$signals/dist/signals.mjs" signals.js
cp "$signals/LICENSE" "$target/LICENSE.signals.txt"

core=$(package @preact/signals-core 1.14.5 94c421ac996214c94f532fb4c43d8ede048a16df0cd9538ffb965174dbe8daba)
module "$core/dist/signals-core.mjs" signals-core.js

htm=$(package htm 3.1.1 2425b9bee11409177bcabc7f32e319926fc6690c1701c0b257c88bdff2d5ba90)
module "$htm/dist/htm.mjs" htm.js
cp "$htm/LICENSE" "$target/LICENSE.htm.txt"

figtree=$(package @fontsource-variable/figtree 5.3.0 745eb850be26774948b5aa9342b7182660ed3a48ac40509c7babcfdcd90c39d7)
cp "$figtree/files/figtree-latin-wght-normal.woff2" "$target/figtree.woff2"
cp "$figtree/LICENSE" "$target/LICENSE.figtree.txt"

serif=$(package @fontsource/instrument-serif 5.3.0 b342b7a7844a0025bc6185a28dd23e8b382202d73a5a574e3bf6d969bef3875d)
cp "$serif/files/instrument-serif-latin-400-normal.woff2" "$target/instrument-serif.woff2"
cp "$serif/LICENSE" "$target/LICENSE.instrument-serif.txt"

checker=$(package axe-core 4.14.1 e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745)
cp "$checker/axe.min.js" "$checker/LICENSE" "$axe/"

(cd "$target" && sha256sum -- *.js *.woff2 >SHA256SUMS)
chmod 644 "$target"/* "$axe"/*
