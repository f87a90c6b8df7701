"""The main way through each page in a real browser, and whether it is accessible. Makes the pictures of docs/console.md."""

from __future__ import annotations

import os
import re

from axe_playwright_python.sync_playwright import Axe

from app.access.roles import Role
from app.destinations.state import Status
from app.reporting.alerts import read_alerts
from app.reporting.audit import read_acts
from tests.browser.conftest import IMAGES
from tests.browser.sample import connect

PAGES = {
    "overview": "/", "destination": "/destinations/spring-campaign", "failures": "/failures?destination=spring-campaign",
    "connect": "/connect?from=spring-campaign", "contact": "/contact", "jobs": "/jobs",
    "preview": "/preview", "alerts": "/alerts", "people": "/people", "audit": "/audit",
}  # fmt: skip


def grave(page, **options) -> list[str]:
    """The findings of axe that are serious or critical."""
    found = Axe().run(page, options={"resultTypes": ["violations"], **options}).response["violations"]
    return [
        f"{item['id']}: {item['help']}: {[node['html'][:120] for node in item['nodes'][:3]]}"
        for item in found
        if item["impact"] in ("serious", "critical")
    ]


def picture(page, name: str) -> None:
    """Only made anew when asked for: pictures differ a little from machine to machine."""
    if os.environ.get("PICTURES"):
        IMAGES.mkdir(exist_ok=True)
        page.screenshot(path=IMAGES / f"console-{name}.png", full_page=True)


# all that the dark style sheet can make worse, which changes nothing but colours (tests/unit/console/test_style_sheet.py)
OF_COLOURS = ["color-contrast", "link-in-text-block"]


def test_no_page_has_a_serious_finding_of_axe(open_page, bed):
    # no button is on its way from one colour to the other
    inside, outside = open_page(reduced_motion="reduce"), open_page(None, reduced_motion="reduce")
    link = bed.link().removeprefix(bed.url)
    seen = [(inside, path) for path in ("/login", *PAGES.values())] + [(outside, path) for path in ("/login", link)]
    for page, path in seen:
        page.emulate_media(color_scheme="light")
        page.goto(bed.url + path)
        assert grave(page) == [], path
        page.emulate_media(color_scheme="dark")
        assert grave(page, runOnly=OF_COLOURS) == [], f"{path}, dark"


def test_a_narrow_screen_scrolls_in_one_direction(open_page, bed):
    page = open_page(viewport={"width": 360, "height": 740})
    for name, path in PAGES.items():
        page.goto(bed.url + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, name
        if name in ("overview", "destination"):
            picture(page, f"{name}-narrow")


def test_prose_in_a_row_is_read_from_left_to_right_on_a_narrow_screen(open_page, bed):
    """Its parts stood beside each other, some letters wide."""
    bed.rig.wait_until(lambda: read_alerts(bed.rig.redis).open, "an alert of the destination that is stopped")
    page = open_page(viewport={"width": 360, "height": 740})
    page.goto(f"{bed.url}/alerts")
    cell = page.get_by_role("cell").filter(has_text="The client secret is wrong or has expired.").first
    whole, bold = cell.bounding_box(), cell.locator("strong").bounding_box()
    assert whole["width"] > 250
    assert bold["width"] > 0.7 * whole["width"]
    assert bold["x"] == whole["x"]


LOOKS = 5


def test_without_javascript_what_only_shows_is_shown(open_page, bed):
    pages = open_page(), open_page(java_script_enabled=False)

    def shown(place: str) -> list[str]:
        # counts go on changing, also from 999 to 1,000
        return [re.sub(r"\d[\d,.]*", "0", one.locator(place).inner_text()) for one in pages]

    def alike(path: str, places: list[str]) -> bool:
        for one in pages:
            one.goto(bed.url + path)
        return all(len(set(shown(place))) == 1 for place in places)

    for name, path in PAGES.items():
        # what is there by the second look may be more
        places = ["h1"] if name in ("connect", "audit", "alerts") else ["h1", "main"]
        # and ages go from `59 s` to `1 min` between one page and the other
        assert any(alike(path, places) for _ in range(LOOKS)), name


def test_the_overview_tells_state_and_reason(open_page, bed):
    page = open_page()
    page.goto(bed.url)
    row = page.get_by_role("row", name=re.compile("Newsletter"))
    assert "stopped" in row.inner_text()
    page.get_by_text("The client secret is wrong or has expired.").wait_for()
    page.get_by_text("Rotate it in Setup").wait_for()
    picture(page, "overview")
    dark = open_page(color_scheme="dark")
    dark.goto(bed.url)
    picture(dark, "overview-dark")


def test_an_open_page_follows_what_happens(open_page, bed):
    page = open_page(Role.VIEW)
    page.goto(bed.url)
    page.get_by_text("Live", exact=True).wait_for()
    row = page.get_by_role("row", name=re.compile("Loyalty"))
    assert "paused" in row.inner_text()
    before = bed.rig.resources.states.get("loyalty")
    assert before.status is Status.PAUSED
    bed.rig.producer.enqueue(
        "loyalty", [{"identityMap": {"contactKey": [{"id": "c-live"}]}, "person": {"name": {"firstName": "A"}}}]
    )
    page.get_by_role("row", name=re.compile(r"Loyalty.*\b41\b", re.DOTALL)).wait_for()


def test_a_page_follows_while_somebody_reads_it_and_keeps_their_place(open_page, bed):
    def enqueue(key: str) -> None:
        bed.rig.producer.enqueue("newsletter", [{"identityMap": {"contactKey": [{"id": key}]}}])

    page = open_page(Role.VIEW)
    page.goto(bed.url)
    page.get_by_text("Live", exact=True).wait_for()
    row = page.get_by_role("row", name=re.compile("Newsletter"))
    before = int(row.get_by_role("cell").nth(1).inner_text())
    page.locator(".scroll").first.focus()
    enqueue("c-read")
    row.get_by_role("cell", name=str(before + 1), exact=True).wait_for()
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Destinations"
    page.goto(f"{bed.url}/destinations/newsletter")
    page.get_by_text("Live", exact=True).wait_for()
    page.get_by_text("The figures").click()
    figures = page.locator("#outcomes table")
    before_text = figures.inner_text()
    enqueue("c-unfolded")
    page.wait_for_function("before => document.querySelector('#outcomes table').innerText !== before", arg=before_text)
    assert figures.is_visible()
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"


def test_a_destination_is_paused_and_resumed(open_page, bed):
    page = open_page(Role.ACTIVATE)
    page.goto(f"{bed.url}/destinations/spring-campaign")
    picture(page, "destination")
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("status").filter(has_text="spring-campaign is paused").wait_for()
    assert bed.rig.resources.states.get("spring-campaign").status is Status.PAUSED
    page.get_by_role("button", name="Resume").click()
    page.get_by_role("status").filter(has_text="spring-campaign is enabled").wait_for()
    assert bed.rig.resources.states.get("spring-campaign").status is Status.ENABLED


def test_a_failure_is_seen_and_replayed(open_page, bed):
    rig = bed.rig
    count = len(rig.resources.failures("spring-campaign"))
    assert count == 3  # of the sample
    page = open_page(Role.MANAGE)
    page.goto(f"{bed.url}/failures?destination=spring-campaign")
    picture(page, "failures")
    page.get_by_label("Segment").select_option("owners")
    page.get_by_role("button", name="Filter").click()
    page.get_by_role("link", name=re.compile(r"^\d{4}-")).first.click()
    assert "***" in page.locator("pre").inner_text()
    assert "example.com" not in page.locator("pre").inner_text()
    page.get_by_role("button", name="Show the values").click()
    assert "example.com" in page.locator("pre").inner_text()
    assert ("olga", "reveal failure") in [(act.who, act.what) for _, act in read_acts(rig.redis, rig.resources.ring)]
    page.goto(f"{bed.url}/failures?destination=spring-campaign")
    page.get_by_role("button", name=f"Replay {count}").click()
    page.get_by_role("heading", name=f"Replay {count} failed profiles?").wait_for()
    assert grave(page) == []
    page.get_by_role("button", name=f"Replay {count}").click()
    page.get_by_role("status").filter(has_text=f"{count} are enqueued again").wait_for()
    # refused again: nobody has mended the addresses
    rig.wait_until(lambda: len(rig.resources.failures("spring-campaign")) == count, "failed again")


def test_a_contact_is_looked_up_and_its_key_stands_in_no_address(open_page, bed):
    page = open_page(Role.MANAGE)
    page.goto(f"{bed.url}/contact")
    page.get_by_label("Destination").select_option("spring-campaign")
    page.get_by_label("Contact key").fill("c-0001")
    page.get_by_role("button", name="Look up").click()
    row = page.get_by_role("row", name=re.compile("Email Demographics.First Name"))
    assert "2026" in row.inner_text()
    assert "c-0001" not in page.url
    assert "Ben" not in page.locator("main").inner_text()
    page.get_by_role("button", name="Show the account's own copy").click()
    assert "Ben" in page.get_by_role("row", name=re.compile("Email Demographics.First Name")).inner_text()
    picture(page, "contact")
    assert grave(page) == []


def test_a_profile_is_tried(open_page, bed):
    before = bed.rig.calls("spring-campaign")
    page = open_page(Role.MANAGE)
    page.goto(f"{bed.url}/preview")
    page.get_by_label("Destination").select_option("spring-campaign")
    page.get_by_label("A profile (JSON)").fill(
        '{"identityMap": {"contactKey": [{"id": "c-0001"}]}, "person": {"name": {"firstName": "Zoe"}}}'
    )
    page.get_by_role("button", name="Try").click()
    row = page.get_by_role("row", name=re.compile("Email Demographics.First Name"))
    assert "Zoe" in row.inner_text()
    assert "sent" in row.inner_text()
    picture(page, "preview")
    assert grave(page) == []
    page.get_by_label("A profile (JSON)").fill("{not json")
    page.get_by_role("button", name="Try").click()
    page.get_by_role("alert").filter(has_text="This is no JSON").wait_for()
    assert bed.rig.calls("spring-campaign") == before
    viewer = open_page(Role.VIEW)
    viewer.goto(f"{bed.url}/preview")
    viewer.get_by_label("Destination").select_option("spring-campaign")
    viewer.get_by_label("A profile (JSON)").fill(
        '{"identityMap": {"contactKey": [{"id": "c-0001"}]}, "person": {"name": {"firstName": "Zoe"}}}'
    )
    viewer.get_by_role("button", name="Try").click()
    assert "Zoe" not in viewer.get_by_role("row", name=re.compile("Email Demographics.First Name")).inner_text()


def test_an_alert_is_muted(open_page, bed):
    page = open_page(Role.ACTIVATE)
    bed.rig.wait_until(lambda: read_alerts(bed.rig.redis).open, "an alert of the destination that is stopped")
    page.goto(f"{bed.url}/alerts")
    picture(page, "alerts")
    assert grave(page) == []
    page.get_by_role("button", name="Mute").first.click()
    page.get_by_role("status").filter(has_text="is muted for an hour").wait_for()
    assert len(read_alerts(bed.rig.redis).muted) == 1
    page.get_by_role("button", name="Unmute").click()
    assert read_alerts(bed.rig.redis).muted == ()


def test_a_destination_is_connected(open_page, bed):
    page = open_page(Role.MANAGE)
    page.goto(f"{bed.url}/connect")
    base = bed.rig.base("mcnew")
    page.get_by_label("Id", exact=True).fill("Not A Slug")
    page.get_by_text("must be 1 to 63 of a-z, 0-9").wait_for()  # while one types
    assert page.get_by_label("Id", exact=True).get_attribute("aria-invalid") == "true"
    for label, value in {
        "Id": "autumn", "Name": "Autumn", "Subdomain": "mcnew", "Client id": "sandbox-client", "Client secret": "wrong",
        "Auth base URL": base, "REST base URL": base,
    }.items():  # fmt: skip
        page.get_by_label(label, exact=True).fill(value)
    page.get_by_role("button", name="Test the account").click()
    page.get_by_role("alert").filter(has_text=re.compile("secret|credentials|client", re.IGNORECASE)).first.wait_for()
    page.get_by_label("Client secret").fill("sandbox-secret")
    page.get_by_role("button", name="Test the account").click()
    page.get_by_text("The account answers").wait_for()
    # a target from the account's fields, found by a part of its name
    page.get_by_label("Source 3").fill("xdm: person.name.firstName")
    page.get_by_label("Target 3").focus()
    page.get_by_text("Fields of the account", exact=True).click()
    page.get_by_label("Find a field").fill("first name")
    picture(page, "connect")
    page.get_by_role("button", name="Use Email Demographics.First Name").click()
    assert page.get_by_label("Target 3").input_value() == "Attribute: Email Demographics.First Name"
    page.get_by_label("Segment 1").fill("seg-1")
    page.get_by_label("Mapping ID of 1").fill("salesforce_mc_segment_9x")
    page.get_by_text(re.compile("salesforce_mc_segment_9x.*|Did you mean")).first.wait_for()
    page.get_by_label("Mapping ID of 1").fill("salesforce_mc_segment_1")
    page.get_by_text("Mapping ID of 1").wait_for()
    assert grave(page) == []
    page.get_by_role("button", name="Test all and review").click()
    page.get_by_role("heading", name="Connect autumn?").wait_for()
    assert "sandbox-secret" not in page.content()
    assert grave(page) == []
    page.get_by_role("button", name="Connect", exact=True).click()
    page.get_by_role("status").filter(has_text="Connected autumn.").wait_for()
    assert bed.rig.resources.destinations.get("autumn").account.client_secret == "sandbox-secret"


def test_a_change_shows_what_it_replaces(open_page, bed):
    page = open_page(Role.MANAGE)
    page.goto(f"{bed.url}/connect?from=newsletter")
    page.get_by_label("Description").fill("The monthly letter")
    page.get_by_role("button", name="Test all and review").click()
    page.get_by_text("-description: The weekly letter").wait_for()
    page.get_by_text("+description: The monthly letter").wait_for()
    picture(page, "review")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the file").click()
    assert download.value.suggested_filename == "newsletter.yaml"
    assert "The monthly letter" in download.value.path().read_text()


def test_a_destination_is_disconnected(open_page, bed):
    connect(bed.rig, "winter", "Winter", "Skis", "mcwinter")
    page = open_page(Role.MANAGE)
    page.goto(f"{bed.url}/destinations/winter")
    page.get_by_role("link", name="Disconnect").click()
    page.get_by_role("heading", name="Disconnect winter?").wait_for()
    assert grave(page) == []
    page.get_by_label("Type winter to confirm").fill("newsletter")
    page.get_by_role("button", name="Disconnect").click()
    page.get_by_role("alert").filter(has_text="Nothing was disconnected.").wait_for()
    assert grave(page) == []
    page.get_by_label("Type winter to confirm").fill("winter")
    page.get_by_role("button", name="Disconnect").click()
    page.get_by_role("status").filter(has_text="winter is disconnected.").wait_for()
    assert "winter" not in bed.rig.resources.destinations.ids()


def test_a_file_is_opened(open_page, bed, tmp_path):
    file = tmp_path / "other.yaml"
    mapping = "mapping:\n  - {source: 'xdm: a.b', target: 'Attribute: X.Y'}\n"
    file.write_text(f"id: other\nname: Other\n{mapping}options: {{html_enabled: always}}\n")
    page = open_page(Role.MANAGE)
    page.goto(f"{bed.url}/connect")
    page.get_by_text("Open a file").click()
    page.get_by_label("A destination file (YAML)").set_input_files(file)
    page.get_by_role("button", name="Open").click()
    assert page.get_by_label("Source 1").input_value() == "xdm: a.b"
    assert "html_enabled: always" in page.get_by_label("Options (YAML)").input_value()


def test_a_role_is_refused_what_it_may_not(open_page, bed):
    page = open_page(Role.VIEW)
    page.goto(f"{bed.url}/destinations/spring-campaign")
    assert page.get_by_role("button", name="Pause").count() == 0
    assert page.get_by_role("link", name="Connect").count() == 0
    page.goto(f"{bed.url}/connect")
    page.get_by_text("This needs the role manage.").wait_for()
    assert grave(page) == []


def test_everything_is_reached_by_keyboard(open_page, bed):
    page = open_page(Role.MANAGE)
    page.goto(bed.url)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "Spring campaign":
            break
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("Enter")
    page.wait_for_url(f"{bed.url}/destinations/spring-campaign")


def test_a_link_signs_in(open_page, bed):
    page = open_page(None)
    page.goto(bed.link())
    page.get_by_role("heading", name="Welcome").wait_for()
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{bed.url}/")
    page.get_by_text("local (manage)").wait_for()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(f"{bed.url}/login")


def test_a_user_is_added_and_chooses_a_password(open_page, bed):
    page = open_page(Role.MANAGE)
    page.goto(f"{bed.url}/people")
    page.get_by_label("Name").first.fill("ann")
    page.get_by_label("Role").first.select_option("activate")
    page.get_by_role("button", name="Add").click()
    link = page.locator("pre").inner_text()
    other = open_page(None)
    other.goto(link)
    other.get_by_label("Choose a password").fill("correct horse battery")
    other.get_by_label("The same again").fill("correct horse battery")
    other.get_by_role("button", name="Sign in").click()
    other.get_by_text("ann (activate)").wait_for()
    picture(page, "people")
