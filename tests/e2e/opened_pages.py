"""Opening a page in a browser, watched for all that goes wrong in it."""

from contextlib import contextmanager


@contextmanager
def opened_pages(browser, address, title, reads_its_folder=False):
    """Gives a function that opens the page at `address`, a file: URL, with a view behind it.

    At the end nothing went wrong in any page that was opened, and nothing was asked for but the page itself and, where
    that is allowed, other files of its folder. `title`: the page's; no name from outside ran as a programme that
    changed it.
    """
    contexts, troubles, requests = [], [], []

    def open_it(view="", width=1440, height=900, **options):
        contexts.append(browser.new_context(viewport={"width": width, "height": height}, **options))
        page = contexts[-1].new_page()
        page.on("console", lambda message: troubles.append(message.text))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(address + view)
        return page

    yield open_it
    titles = {page.title() for context in contexts for page in context.pages}
    for context in contexts:
        context.close()
    assert troubles == []
    asked = {url.split("#")[0] for url in requests if not url.startswith("data:")}
    folder = address.rpartition("/")[0] + "/"
    others = [url for url in asked - {address} if not (reads_its_folder and url.startswith(folder))]
    assert address in asked and others == []
    assert titles == {title}
