// Keeps the page at hand up to date: the deployment tells when something on it has changed, and the page is read again. Without this
// script, or when the deployment has no room for one more listener, the page is what it was when it was read.
'use strict'
{
  const topics = document.body.dataset.topics.split(' ')
  const sign = document.querySelector('.uptodate')
  const main = document.querySelector('main')
  let stream, timer, reading = false, last = 0, pause = 1000

  // What must not be taken from under somebody: a field that is being filled in, and text that is being marked.
  const busy = () => {
    const selection = getSelection()
    return main.querySelector('input:focus, select:focus, textarea:focus') ||
      [...main.querySelectorAll('input, textarea')].some(e => e.value !== e.defaultValue || e.checked !== e.defaultChecked) ||
      (selection && !selection.isCollapsed && main.contains(selection.anchorNode))
  }

  // Where the focus is, in words that fit the new content too.
  const focused = () => {
    const e = document.activeElement
    if (!main.contains(e) || e === main) return () => null
    const alike = e.id ? '#' + CSS.escape(e.id) : e.tagName + (e.getAttribute('href') ? `[href="${CSS.escape(e.getAttribute('href'))}"]` : '')
    const at = [...main.querySelectorAll(alike)].indexOf(e)
    return () => main.querySelectorAll(alike)[at]
  }

  const swap = text => {
    if (busy()) return later() // since it was asked for
    const fresh = new DOMParser().parseFromString(text, 'text/html')
    const content = fresh.querySelector('main')
    if (!content) return
    const notice = main.querySelector('.notice')
    if (notice && !content.querySelector('.notice')) content.prepend(notice)
    const find = focused()
    const scrolled = [...main.querySelectorAll('.table')].map(e => e.scrollLeft)
    const [x, y] = [scrollX, scrollY]
    main.replaceChildren(...content.childNodes)
    for (const [i, e] of [...main.querySelectorAll('.table')].entries()) e.scrollLeft = scrolled[i] ?? 0
    find()?.focus({preventScroll: true})
    scrollTo(x, y)
    document.title = fresh.title
    document.querySelector('.made').replaceChildren(...fresh.querySelector('.made').childNodes)
  }

  const read = async () => {
    timer = undefined
    const began = last = Date.now()
    if (document.hidden || busy() || reading) return later()
    reading = true
    let text
    try {
      const answer = await fetch(location.href, {headers: {Accept: 'text/html'}, redirect: 'error'})
      if (answer.ok) text = await answer.text()
    } catch {} finally { reading = false }
    // A page that takes long is not asked for all the time, and one that could not be had is asked for again, after a while.
    pause = Math.max(text === undefined ? 5000 : 1000, Math.min(15000, 10 * (Date.now() - began)))
    if (text !== undefined) swap(text)
    else if (stream) later()
  }
  // At most once a pause, and not at all while nobody looks: whoever comes back gets a fresh page.
  const later = () => { if (!document.hidden) timer ??= setTimeout(read, Math.max(0, pause - (Date.now() - last))) }

  const listen = () => {
    if (stream || document.hidden) return
    stream = new EventSource(document.body.dataset.live)
    let again = false // what is told first: nothing, unless the stream was cut
    stream.onopen = () => { sign.hidden = false }
    stream.onmessage = ({data}) => {
      if (data === '' ? again : data.split(' ').some(topic => topics.includes(topic))) later()
      again = true
    }
    stream.onerror = () => {
      sign.hidden = true
      if (stream?.readyState !== EventSource.CLOSED) return // it connects again by itself
      stream = undefined
      setTimeout(listen, 30000)
    }
  }
  const leave = () => {
    stream?.close()
    stream = undefined
    sign.hidden = true
    clearTimeout(timer)
    timer = undefined
  }
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) return leave()
    listen()
    later()
  })
  addEventListener('pagehide', leave)
  addEventListener('pageshow', listen)
}
