// The page of Tutti: the latest requests and runs, a run's tasks and its log. It uses the API alone.
'use strict';

const $ = (id) => document.getElementById(id);
const glyphs = { pending: '○', running: '◐', waiting: '⏸', succeeded: '✓', failed: '✕', skipped: '–', cancelled: '⊘' };
let namespace = 'default';
let stream = null; // of the run that is shown
let drawn = 0; // counts what was asked for last, so that a late answer is dropped

async function call(method, path, body) {
  const options = { method, headers: {} };
  if (body !== undefined) {
    options.headers['Content-Type'] = 'application/json';
    options.body = JSON.stringify(body);
  }
  const answer = await fetch('/v1' + path, options);
  const doc = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    throw Object.assign(new Error(doc.hint ? `${doc.detail}: ${doc.hint}` : doc.detail || answer.statusText), { status: answer.status });
  }
  return doc;
}

const inNamespace = (path) => `/namespaces/${encodeURIComponent(namespace)}${path}`;

function el(tag, text, className) {
  const e = document.createElement(tag);
  if (text !== undefined) e.textContent = text;
  if (className) e.className = className;
  return e;
}

function state(s) {
  const e = el('span', s, `state ${s}`);
  e.dataset.glyph = glyphs[s] || '?';
  return e;
}

function when(t) {
  const e = el('time', t ? new Date(t).toLocaleString() : '');
  if (t) e.dateTime = t;
  return e;
}

function link(run, text) {
  const a = el('a', text, 'id');
  a.href = `#${namespace}/${run}`;
  return a;
}

function row(...cells) {
  const tr = el('tr');
  for (const c of cells) {
    const td = el('td');
    td.append(c ?? '');
    tr.append(td);
  }
  return tr;
}

function fill(id, rows, columns, empty) {
  if (!rows.length) {
    const td = el('td', empty, 'dim');
    td.colSpan = columns;
    const tr = el('tr');
    tr.append(td);
    rows = [tr];
  }
  $(id).replaceChildren(...rows);
}

async function lists() {
  const [requests, runs] = await Promise.all([call('GET', inNamespace('/requests?limit=20')), call('GET', inNamespace('/runs?limit=20'))]);
  fill('requests', (requests.items || []).map((r) => row(state(r.state), r.run ? link(r.run, r.name || r.id) : r.name || r.id, r.entry, r.requester,
    when(r.created), el('span', r.trace, 'id'))), 6, 'No requests yet. Try: tutti request create ENTRY');
  fill('runs', (runs.items || []).map((r) => row(state(r.state), link(r.id, r.id), r.workflow, r.requester, when(r.created), el('span', r.trace, 'id'))),
    6, 'No runs yet. Try: tutti run start WORKFLOW');
}

function took(t) {
  if (!t.started) return '';
  const ms = (t.ended ? new Date(t.ended) : new Date()) - new Date(t.started);
  if (ms < 1000) return `${Math.max(ms, 0)}ms`;
  const s = Math.round(ms / 1000);
  return s < 60 ? `${s}s` : `${Math.floor(s / 60)}m${s % 60}s`;
}

async function details(id) {
  const mine = ++drawn;
  const base = inNamespace(`/runs/${encodeURIComponent(id)}`);
  const [run, tasks] = await Promise.all([call('GET', base), call('GET', `${base}/tasks?limit=1000`)]);
  if (mine !== drawn) return;
  $('h-run').replaceChildren(state(run.state), ` ${run.title || run.workflow}`);
  $('facts').textContent = `${run.id} · trace ${run.trace}` + (run.failure ? ` · ${run.failure.task}: ${run.failure.message}` : '');
  fill('tasks', (tasks.items || []).map((t) => {
    const says = t.failure ? t.failure.message : t.reason ? t.reason.text : '';
    const tr = row(state(t.state), el('span', t.path, 'id'), t.use || t.kind, t.attempt ? String(t.attempt) : '', took(t), says);
    tr.lastChild.className = 'says';
    return tr;
  }), 6, 'This run has no tasks.');
  $('run').hidden = false;
}

function soon(f, wait) { // f, at most once in each wait
  let timer = 0;
  return () => {
    timer ||= setTimeout(() => { timer = 0; f().catch(tell); }, wait);
  };
}

const listsSoon = soon(lists, 1000);

function follow(id) {
  stream?.close();
  $('log').replaceChildren();
  const detailsSoon = soon(() => details(id), 300);
  const topics = new URLSearchParams([['topic', `run:${id}`], ['topic', `log:${id}`]]);
  stream = new EventSource(`/v1${inNamespace('/stream')}?${topics}`);
  stream.addEventListener('run', () => { detailsSoon(); listsSoon(); });
  stream.addEventListener('log', (e) => {
    const line = JSON.parse(e.data).data;
    const log = $('log');
    const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 20;
    log.append(`${line.task}  ${line.text}\n`);
    while (log.childNodes.length > 5000) log.firstChild.remove();
    if (atEnd) log.scrollTop = log.scrollHeight;
  });
  stream.onerror = () => { if (stream.readyState === EventSource.CLOSED) tell(new Error('The stream ended; reload to follow again.')); };
}

// address turns the address of a request or a run, as the command line prints it, into that of the page.
async function address() {
  const [, kind, id] = location.pathname.split('/');
  if (!id) return;
  const run = kind === 'requests' ? (await call('GET', inNamespace(`/requests/${encodeURIComponent(decodeURIComponent(id))}`))).run : id;
  history.replaceState(null, '', run ? `/#${namespace}/${run}` : '/');
}

async function show() {
  const [ns, id] = decodeURIComponent(location.hash.slice(1)).split('/');
  if (!id) {
    stream?.close();
    $('run').hidden = true;
    return;
  }
  if (ns !== namespace) {
    namespace = $('namespace').value = ns;
    await lists();
  }
  follow(id);
  await details(id);
}

function tell(err) {
  if (err.status === 401) {
    loggedOut();
    return;
  }
  $('notice').textContent = err.message;
}

function loggedOut() {
  stream?.close();
  for (const id of ['work', 'where', 'logout']) $(id).hidden = true;
  $('who').textContent = '';
  $('login').hidden = false;
}

async function start() {
  const me = await call('GET', '/whoami');
  $('who').textContent = me.subject;
  const names = (await call('GET', '/namespaces')).items || [];
  $('namespace').replaceChildren(...names.map((n) => el('option', n.name)));
  if (names.length && !names.some((n) => n.name === namespace)) namespace = names[0].name;
  $('namespace').value = namespace;
  $('login').hidden = true;
  for (const id of ['work', 'where', 'logout']) $(id).hidden = false;
  $('notice').textContent = '';
  await lists();
  await address();
  await show();
}

$('login').addEventListener('submit', async (e) => {
  e.preventDefault();
  const f = new FormData(e.target);
  try {
    await call('POST', '/login', { user: f.get('user'), password: f.get('password') });
    e.target.reset();
    await start();
  } catch (err) {
    $('notice').textContent = err.message;
  }
});
$('logout').addEventListener('click', () => call('POST', '/logout', {}).catch(() => {}).then(loggedOut));
$('namespace').addEventListener('change', (e) => {
  namespace = e.target.value;
  location.hash = '';
  lists().catch(tell);
});
addEventListener('hashchange', () => show().catch(tell));
setInterval(() => { if (!$('work').hidden && !document.hidden) lists().catch(tell); }, 5000);
start().catch(tell);
