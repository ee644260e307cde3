"""The console: what a finance person opens all day. Server-rendered pages over the same services as the API and the command line.

It knows routes, words and pictures; no SQL of its own, no accounting. Every figure is read through the queries of the room that
owns it, every change goes through that room's service, so what the console can do the command line can too.

How to add a page
-----------------
A page is a `Page` value and a function. Put both into a module of `pages/`, export `PAGES`, and add the module to
`pages/registry.py`. The function takes a `Visit` (who, which tenant, parameters, query, form, services) and gives an answer:

    def deliveries(visit: Visit) -> Answer:
        with visit.read() as connection:
            rows = queries.deliveries(connection, tenant_id=visit.tenant_id, after=visit.after_text(), limit=visit.limit + 1)
        return ListPage(title="Deliveries", columns=(...), rows=tuple(_row(visit, one) for one in rows), ...)

    PAGES = (Page(path="/deliveries", name="deliveries", title="Deliveries", answer=deliveries, icon="send", group=Group.WORK),)

Rules that keep the pages alike:

- Every page of a tenant lives under `/t/{tenant}`; its path is what comes after. The frame checks log-in, tenant and permission
  before the function runs, and the token of a form before any POST. Link with `visit.url("deliveries", state="held")`, in a
  template with `url("delivery", id=...)`; never put a path together.
- `ListPage` is a list as data: columns, rows of cells (`Text`, `Code`, `Money`, `Moment`, `State`, `Count`), filters held in the
  address, one row more than `visit.limit` when there is a next page (each row names its `place`), what an empty list means, and
  the command and API call that give the same. Cursor paging, CSV and XLSX, keys and narrow screens come with it.
- Anything else is `View(template=..., values={...})`; the template extends `layout.html` and imports `ui.html` for the parts:
  `badge`, `money`, `moment`, `facts` (key and value), `code`, `tabs`, `act` (a button that asks for a reason in a dialog),
  `empty`, `problem`, `same_as` (copy as command or call), `panel`, `bar`.
- A change is a page with `method="POST"` that gives `Redirect(to=..., said=...)`, or a `Problem`. Its actor is `visit.actor`,
  its reason `visit.reason()`. Beside a button say the permission: `act(..., permission="resolve")` shows a disabled button that
  says which roles can press it.
- A state is a word of `states.py`: icon, word and colour together, never colour alone. Amounts carry their currency. Times are
  passed as aware datetimes; the browser shows them in the viewer's zone with UTC on hover.
- No inline script or style, no address but our own: the content security policy refuses it and the browser tests fail.
"""
