#!/bin/sh
# The tests in full on Debian 12. As root it installs the packages that are missing, saying each, and lets none of them
# start a service. Not root, it runs all that needs none of them and prints what was NOT RUN and how to install it.
# With CI set, nothing may be missing.
set -eu
bin=.venv/bin
packages="unixodbc libsqliteodbc odbc-mariadb odbc-postgresql mariadb-server postgresql-15 haproxy chromium"
missing=""
for package in $packages; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
if [ -n "$missing" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "installing Debian packages:$missing (no service is started by them)"
  policy=/usr/sbin/policy-rc.d
  made_policy=""
  if [ ! -e "$policy" ]; then printf '#!/bin/sh\nexit 101\n' > "$policy"; chmod +x "$policy"; made_policy=yes; fi
  DEBIAN_FRONTEND=noninteractive apt-get update -qq
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
  [ -z "$made_policy" ] || rm -f "$policy"
  missing=""
fi
not_run=""
select="not torture"
leave_out() {  # a marker, and the packages its tests need
  marker=$1; shift
  for package in "$@"; do
    case " $missing " in *" $package "*) select="$select and not $marker"; not_run="$not_run $marker"; return;; esac
  done
}
leave_out odbc unixodbc libsqliteodbc odbc-mariadb odbc-postgresql
leave_out mariadb mariadb-server
leave_out pg15 postgresql-15
leave_out haproxy haproxy
leave_out browser chromium
if [ -z "${BANYAN_REAL_DATA:-}" ]; then select="$select and not real"; real="real files: NOT RUN (set BANYAN_REAL_DATA to their folder)"; fi
if [ -n "${CI:-}" ] && [ -n "$not_run" ]; then
  echo "NOT RUN:$not_run, and CI allows nothing to be missing: apt-get install$missing"; exit 1
fi
make -s check
status=0
$bin/pytest -n 2 --dist loadfile --no-loadscope-reorder -m "$select" --durations=10 || status=$?
[ -z "$not_run" ] || echo "NOT RUN:$not_run        sudo apt-get install$missing"
[ -z "${real:-}" ] || echo "$real"
exit $status
