#!/bin/sh
# browser.sh WEFT TEST_HTML: pages of timelines in a real browser without a screen: no error, and what a pointer is told.
# Skipped (77) where there is no chromium.
set -eu
weft=$(realpath "$1") test_html=$(realpath "$2") measured=$(realpath "$(dirname "$0")/../cli/files/measured")
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
[ -n "$browser" ] || { echo "no chromium here"; exit 77; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"

# visit PAGE SCRIPT: the page after the script, in dom; what the browser complains about, in log
visit() {
    { cat "$1"; printf '<script>%s</script>\n' "$2"; } >visited.html
    timeout 120 "$browser" --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --window-size=1400,800 \
        --user-data-dir="$scratch/profile" --virtual-time-budget=5000 --enable-logging=stderr --dump-dom \
        "file://$scratch/visited.html" >dom 2>log || { cat log; exit 1; }
    if grep 'CONSOLE' log; then echo "the page complains"; exit 1; fi
}

# expect TEXT: a line of the result
expect() {
    sed -n '/<pre id="result">/,/<\/pre>/p' dom | sed 's/<[^>]*>//g;s/&gt;/>/g;s/&lt;/</g' >result
    grep -qF -- "$1" result || { echo "not told: $1"; cat result; exit 1; }
}

# Lines of the result come from these.
tools='
const lines = [];
function send(Type, name, at, more) {
  const box = canvas.getBoundingClientRect();
  canvas.dispatchEvent(new Type(name, Object.assign({ clientX: box.left + at.x, clientY: box.top + at.y, bubbles: true, cancelable: true }, more)));
}
function hover(panel, rank, time) {
  send(PointerEvent, "pointermove", weftPlace(panel, rank, time));
  lines.push(tip.style.visibility + " " + tip.textContent.replace("\n", " | ").replace("\n", " | "));
}
function painted() {
  draw();
  const data = c.getImageData(0, 0, canvas.width, canvas.height).data, seen = new Set();
  for (let i = 0; i < data.length; i += 4) if (data[i + 3]) seen.add(data[i] << 16 | data[i + 1] << 8 | data[i + 2]);
  return seen;
}
function finish() {
  const result = document.createElement("pre");
  result.id = "result";
  result.textContent = "\n" + lines.join("\n") + "\n";
  document.body.append(result);
}'

"$weft" simulate gpipe --pipeline 2 --microbatches 2 --forward 1 --backward-input 1 --backward-weight 1 --comm 0.5 --unit ms \
    --html one.html >/dev/null
visit one.html "$tools
hover(0, 0, 0.5); hover(0, 1, 1); hover(0, 1, 4); hover(0, 0, 4); hover(0, 0, 6.5); hover(0, 1, 9);
const before = view.to - view.from;
send(WheelEvent, 'wheel', weftPlace(0, 0, 5), { deltaY: -400 });
lines.push('zoomed ' + ((view.to - view.from) / before).toFixed(3) + ' at ' + weftPlace(0, 0, 5).x.toFixed(1));
hover(0, 0, 6.5);
send(MouseEvent, 'dblclick', { x: 300, y: 90 });
lines.push('all again ' + (view.to - view.from === before));
lines.push('blue ' + painted().has(31 << 16 | 95 << 8 | 168));
finish();"
expect 'visible 0F0: forward, rank 0 | 0 ms to 1 ms, takes 1 ms | no idle time before it'
expect 'visible rank 1, 0 ms to 1.5 ms | idle 1.5 ms: fill'
expect 'visible 1B0: backward, rank 1 | 3.5 ms to 5.5 ms, takes 2 ms | no idle time before it'
expect 'visible rank 0, 2 ms to 6 ms | idle 4 ms: wait 3.5 ms, message 0.5 ms; waited for 0RECV_B0, which brings 1B0 of rank 1 (ended 5.5 ms)'
expect 'visible 0B0: backward, rank 0 | 6 ms to 8 ms, takes 2 ms | before it idle 4 ms: wait 3.5 ms, message 0.5 ms; waited for 0RECV_B0'
expect 'visible rank 1, 7.5 ms to 10 ms | idle 2.5 ms: drain'
expect 'zoomed 0.368 at'
expect 'all again true'
expect 'blue true'

# Two timelines on one axis: the same time lies at the same place, and both answer.
"$test_html" two.html
visit two.html "$tools
lines.push('panels ' + weft.panels.length + ' ' + (weftPlace(0, 1, 3).x === weftPlace(1, 1, 3).x && weftPlace(0, 1, 3).y < weftPlace(1, 1, 3).y));
hover(0, 0, 0.5); hover(1, 0, 0.5);
lines.push('title ' + document.title);
lines.push('legend ' + document.getElementById('legend').textContent);
finish();"
expect 'panels 2 true'
expect 'held by rank 0rank 1rank 2'
[ "$(grep -c 'visible 0F0: forward, rank 0' result)" = 2 ] || { cat result; exit 1; }
expect 'title </script><b> | second'

# Both halves of an overlapped pair answer: the first above, the second below.
"$weft" simulate dualpipe-v --pipeline 2 --microbatches 4 --forward 1 --backward-input 1 --backward-weight 1 --overlap 2.5 \
    --html pairs.html >/dev/null
visit pairs.html "$tools
hover(0, 0, 8);
const low = weftPlace(0, 0, 8);
send(PointerEvent, 'pointermove', { x: low.x, y: low.y + 8 });
lines.push('below: ' + tip.textContent);
finish();"
expect 'visible 0F3: forward, rank 0 | 7 s to 9.5 s, takes 2.5 s'
expect 'below: 3B1: backward, rank 0'

# A measured step above its prediction, in milliseconds.
"$weft" timeline "$measured" --html measured.html >/dev/null
visit measured.html "$tools
lines.push('panels ' + weft.panels.length + ': ' + weft.panels.map(p => p.caption).join(' | '));
hover(0, 0, 0.001); hover(1, 0, 0.001); hover(0, 0, 0.012);
finish();"
expect 'panels 2: measured, step 4 | predicted from steps 1 to 3'
expect 'visible 0F0: forward, rank 0 | 0.0085 ms to 1.93684 ms, takes 1.92834 ms'
expect 'visible 0F0: forward, rank 0 | 0 ms to'
expect 'waited for 0RECV_B0, which brings 1B0 of rank 1 (ended 15.805 ms)'

# A thousand ranks.
"$weft" simulate 1f1b --pipeline 1000 --microbatches 16 --html many.html >/dev/null
visit many.html "$tools
lines.push('colours ' + (painted().size > 3));
hover(0, 3, 3.5);
view.top = 990; clampView(); draw();
hover(0, 999, 999.5);
finish();"
expect 'colours true'
expect 'visible 3F0: forward, rank 3 | 3 s to 4 s, takes 1 s | before it idle 3 s: fill'
expect 'visible 999F0: forward, rank 999 |'

# A page of plans: a point and a bar tell what they are, and a line stands out while the pointer is over it.
cat >model.yaml <<'END'
{layers: 8, hidden: 1024, heads: 16, vocabulary: 32000, sequence: 1024}
END
"$weft" plan model.yaml A100-SXM-80GB --gpus 4,8 --batch 16,32 --tokens 1e9 --html plan.html >/dev/null
visit plan.html '
const lines = [];
function over(part) {
  const box = part.getBoundingClientRect();
  part.dispatchEvent(new PointerEvent("pointermove", { clientX: box.left + box.width / 2, clientY: box.top + box.height / 2, bubbles: true }));
  lines.push(tip.style.visibility + " " + tip.textContent.replaceAll("\n", " | "));
}
const line = [...document.querySelectorAll("g[data-line]")].find(g => g.dataset.line === "1f1b");
over(line.querySelector("circle[data-note]"));
lines.push("lit " + [...document.querySelectorAll(".lit")].every(g => g.dataset.line === "1f1b") + " " + svg.classList.contains("dim"));
over([...document.querySelectorAll("rect[data-note]")].find(r => r.dataset.note.includes("bubble") || r.dataset.note.includes("compute")));
lines.push("dim " + svg.classList.contains("dim") + ", titles " + document.querySelectorAll("svg title").length);
const result = document.createElement("pre");
result.id = "result";
result.textContent = "\n" + lines.join("\n") + "\n";
document.body.append(result);'
expect 'visible 1f1b: '
expect ' GPUs, batch '
expect 'lit true true'
expect 'compute: '
expect 'dim false, titles 0'
echo "pages of one, two and many ranks, and of plans, are told right"
