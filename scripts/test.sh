#!/bin/sh
# Everything that must pass. Ends with a line that counts the tests.
set -eu
cd "$(dirname "$0")/.."
report=$(mktemp)
trap 'rm -f "$report"' EXIT
# Tests start programs hundreds of times: what Node compiles is kept between them.
export NODE_COMPILE_CACHE="$PWD/node_modules/.cache/compile"

echo '--- format'
npm run --silent format:check
echo '--- types'
npm run --silent check
echo '--- lint'
npm run --silent lint
echo '--- tests'
status=0
vitest run --project unit --project integration --project e2e --reporter=default --reporter=json --outputFile.json="$report" || status=$?
node -e '
  const { numPassedTests, numFailedTests } = JSON.parse(require("node:fs").readFileSync(process.argv[1], "utf8"));
  console.log(`${numPassedTests} passed, ${numFailedTests} failed`);
' "$report"
exit "$status"
