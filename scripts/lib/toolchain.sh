# Sourced by the scripts beside this folder: brings what they need to a Debian that has sh and apt, and nothing
# else. `prepare` ends with a node that is new enough first in PATH, the locked packages in node_modules/, and
# etcd and etcdctl in PATH; or says what to type and ends with 1.
# shellcheck shell=sh

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"

toolchain=.cache/toolchain
# One place holds each version: package.json.
node_pinned=$(sed -n 's/^ *"node": "\([0-9][0-9.]*\)".*/\1/p' package.json)
npm_pinned=$(sed -n 's/^ *"packageManager": "npm@\([0-9.]*\)".*/\1/p' package.json)
node_floor=$(sed -n 's/^ *"node": ">=\([0-9.]*\)".*/\1/p' package.json)

prepare() {
  mkdir -p .cache
  # Two of these scripts may be started at once: the second waits, then finds everything there.
  if command -v flock >/dev/null 2>&1; then exec 9>.cache/lock && flock 9; fi
  PATH="$root/$toolchain/node_modules/.bin:$PATH"
  export PATH
  install_system_packages
  install_node
  install_modules
  # From here on everything runs on the node that package-lock.json names.
  PATH="$root/node_modules/.bin:$PATH"
  exec 9>&-
}

say() { printf '%s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

# --- Debian's packages ------------------------------------------------------------------------------------------

install_system_packages() {
  missing=
  command -v npm >/dev/null 2>&1 || missing="$missing npm"
  command -v etcd >/dev/null 2>&1 || missing="$missing etcd-server"
  command -v etcdctl >/dev/null 2>&1 || missing="$missing etcd-client"
  command -v setpriv >/dev/null 2>&1 || missing="$missing util-linux"
  [ -e /etc/ssl/certs/ca-certificates.crt ] || missing="$missing ca-certificates"
  [ -n "$missing" ] || return 0
  missing=${missing# }

  line="apt-get update && apt-get install -y --no-install-recommends $missing"
  command -v apt-get >/dev/null 2>&1 ||
    fail "Missing here: $missing (names of Debian's packages), and there is no apt-get. Install what provides them, then run this again."
  if [ "$(id -u)" = 0 ]; then
    as_root=
  elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    as_root='sudo -n'
  else
    say "Missing here: $missing. Type this, then run this again:"
    fail "  su -c '$line'"
  fi
  say "Installing $missing"
  log=.cache/apt.log
  # $as_root and $missing are lists of words. What a package starts must not inherit the lock.
  # shellcheck disable=SC2086
  {
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get update >"$log" 2>&1 &&
      $as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends $missing >>"$log" 2>&1
  } 9>&- || {
    tail -n 20 "$log" >&2
    say "apt-get could not install $missing; all it said is in $log. Once this works, run this again:"
    fail "  $line"
  }
  # Debian's package starts an etcd of its own, now and at every boot, on the ports that everybody uses.
  case " $missing " in
  *' etcd-server '*)
    # shellcheck disable=SC2086
    { $as_root invoke-rc.d etcd stop && $as_root update-rc.d etcd disable; } >>"$log" 2>&1 9>&- || true
    ;;
  esac
}

# What some tests need beside, a hundred megabytes of Java: they are skipped without it, and whoever wants them
# types this.
mention_optional_packages() {
  if command -v java >/dev/null 2>&1 && [ -e /usr/share/java/zookeeper.jar ]; then return 0; fi
  say 'Tests against a real ZooKeeper are skipped here; they need: apt-get install -y --no-install-recommends zookeeper'
}

# A real S3 server for tests: it is built once, where there is a Go that is new enough and its modules can be had. It
# takes three minutes of a processor; the tests are skipped without it, so nothing here fails.
versitygw_pinned=v1.8.0
versitygw_minutes=8

build_s3_server() {
  folder=.cache/versitygw
  if [ -n "${VERSITYGW:-}" ] || command -v versitygw >/dev/null 2>&1; then return 0; fi
  if ! command -v go >/dev/null 2>&1; then
    [ -x "$folder/versitygw" ] || say 'Tests against a real S3 server are skipped here: there is no Go to build one with.'
    return 0
  fi
  if go version -m "$folder/versitygw" 2>/dev/null | grep -q "versitygw[[:space:]]$versitygw_pinned"; then return 0; fi
  say "Building versitygw $versitygw_pinned, an S3 server for tests, into $folder"
  fresh="$root/$folder.$$"
  if GOBIN="$fresh" GOFLAGS=-mod=mod GOTOOLCHAIN=local timeout "${versitygw_minutes}m" \
    go install -trimpath "github.com/versity/versitygw/cmd/versitygw@$versitygw_pinned" >.cache/versitygw.log 2>&1; then
    rm -rf "$folder"
    mv "$fresh" "$folder"
  else
    tail -n 3 .cache/versitygw.log >&2
    say "Tests against a real S3 server are skipped here: it was not built; all that was said is in .cache/versitygw.log."
    rm -rf "$fresh"
  fi
}

# --- node and npm -----------------------------------------------------------------------------------------------

# An npm that is older than ours leaves native optional packages out under an older node, so both come first.
install_node() {
  if [ -e "$toolchain" ] && [ "$("$toolchain/node_modules/.bin/node" --version 2>&1)" != "v$node_pinned" ]; then
    rm -rf "$toolchain"
    hash -r
  fi
  if node_is_new_enough; then return 0; fi
  say "Installing node $node_pinned and npm $npm_pinned into $toolchain"
  fresh="$toolchain.$$"
  rm -rf "$fresh"
  mkdir -p "$fresh"
  # The package `node` gets its program by an install script, which newer npms run only when told to.
  printf '{"private":true,"allowScripts":{"node":true},"dependencies":{"node":"%s","npm":"%s"}}\n' \
    "$node_pinned" "$npm_pinned" >"$fresh/package.json"
  (cd "$fresh" && npm install --no-audit --no-fund --loglevel=error >install.log 2>&1) || {
    tail -n 20 "$fresh/install.log" >&2
    fail "npm could not install node $node_pinned; all it said is in $fresh/install.log."
  }
  rm -rf "$toolchain"
  mv "$fresh" "$toolchain"
  hash -r
  node_is_new_enough ||
    fail "The node that npm brought does not run here: $(command -v node) says '$(node --version 2>&1)'."
}

node_is_new_enough() {
  version=$(node --version 2>/dev/null) || return 1
  version=${version#v}
  oldest=$(printf '%s\n%s\n' "$node_floor" "$version" | sort -V | head -n 1)
  [ "$oldest" = "$node_floor" ]
}

# --- the locked packages ----------------------------------------------------------------------------------------

install_modules() {
  stamp=$(
    {
      printf '%s %s\n' "$(node --version)" "$(uname -m)"
      sed -n '/"allowScripts"/,/}/p' package.json
      cat package-lock.json .npmrc
    } | sha256sum | cut -c 1-64
  )
  if [ "$(cat .cache/modules.stamp 2>/dev/null)" = "$stamp" ] && [ -x node_modules/.bin/node ]; then return 0; fi
  say 'Installing the packages of package-lock.json'
  rm -f .cache/modules.stamp
  npm ci --no-audit --no-fund --loglevel=error >.cache/npm-ci.log 2>&1 || {
    tail -n 20 .cache/npm-ci.log >&2
    fail 'npm ci failed; all it said is in .cache/npm-ci.log.'
  }
  printf '%s\n' "$stamp" >.cache/modules.stamp
}

build() {
  node scripts/build.ts >.cache/build.log || {
    cat .cache/build.log >&2
    fail 'The build failed.'
  }
}
