"""Which proxy a request goes through, from the environment."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.adapters.proxies import proxy_for
from watcher.errors import ConfigMistakes

PROXY = "http://proxy.internal:3128"


def goes_direct(url, no_proxy):
    return proxy_for(url, {"HTTPS_PROXY": PROXY, "HTTP_PROXY": PROXY, "NO_PROXY": no_proxy}) is None


@pytest.mark.parametrize(
    ("environ", "variable"),
    [
        ({}, None),
        ({"HTTP_PROXY": PROXY}, None),
        ({"HTTPS_PROXY": PROXY}, "HTTPS_PROXY"),
        ({"https_proxy": PROXY, "HTTPS_PROXY": "http://other:1"}, "https_proxy"),
        ({"ALL_PROXY": PROXY}, "ALL_PROXY"),
        ({"HTTPS_PROXY": "proxy.internal:3128", "ALL_PROXY": "socks5://127.0.0.1:9"}, "HTTPS_PROXY"),
        ({"HTTPS_PROXY": "", "all_proxy": PROXY}, "all_proxy"),
        ({"HTTPS_PROXY": " "}, None),
    ],
)
def test_the_variable_for_the_scheme_comes_first(environ, variable):
    """The proxy of the scheme of the URL, then the proxy for all; an empty variable names none, and a URL without a scheme is http."""
    found = proxy_for("https://hooks.example.com/x", environ)
    assert (found.variable if found else None) == variable
    if found:
        assert found.place == ("proxy.internal", 3128)
        assert found.url == PROXY


@pytest.mark.parametrize(
    ("url", "no_proxy"),
    [
        ("http://[fd00:12::7]:8080/hook", "fd00:12::7"),
        ("http://[fd00:12::7]:8080/hook", "[fd00:12::7]"),
        ("http://[fd00:12::7]:8080/hook", "[fd00:12::7]:8080"),
        ("http://[fd00:12::7]/hook", "localhost, fd00:12::/32"),
        ("http://[fd00:12::7]/hook", "FD00:12:0:0::7"),
        ("http://172.20.4.9/hook", "10.0.0.0/8,172.16.0.0/12"),
        ("http://172.20.4.9/hook", "172.20.4.9"),
        ("http://172.20.4.9:81/hook", "172.20.4.9:81"),
        ("http://172.20.4.9/hook", "::ffff:172.20.4.9"),
        ("https://crm.corp.example/hook", "corp.example"),
        ("https://crm.corp.example/hook", ".corp.example"),
        ("https://crm.corp.example/hook", "*.corp.example"),
        ("https://crm.corp.example/hook", "crm.corp.example:443"),
        ("https://crm.corp.example/hook", "https://crm.corp.example"),
        ("https://CRM.Corp.Example./hook", "corp.example."),
        ("https://crm.corp.example/hook", "localhost  corp.example"),
        ("https://crm.corp.example/hook", "a.example, *"),
        ("http://localhost:9000/hook", "localhost"),
    ],
)
def test_no_proxy_names_hosts_domains_addresses_and_networks(url, no_proxy):
    """Each form that other clients know is understood, for IPv4 and IPv6."""
    assert goes_direct(url, no_proxy)


@pytest.mark.parametrize(
    ("url", "no_proxy"),
    [
        ("http://[fd00:12::7]:8080/hook", "[fd00:12::7]:9090"),
        ("http://[fd00:12::7]/hook", "fd00:13::/32, 10.0.0.0/8, ::1"),
        ("http://172.20.4.9/hook", "172.20.4.0/29,172.20.4.90"),
        ("https://crm.corp.example/hook", "rp.example"),
        ("https://corp.example/hook", ".corp.example"),
        ("https://crm.corp.example/hook", "crm.corp.example:8443"),
        ("https://crm.corp.example/hook", "http://crm.corp.example"),
        ("https://crm.corp.example/hook", "[, ]:, ::/, fe80::/999, /8, :443, ., *., //, [::1, 1.2.3.4.5/8, a:b:c"),
        ("https://crm.corp.example/hook", ""),
    ],
)
def test_any_other_entry_names_no_host(url, no_proxy):
    """What matches only in part, or has no known form, is ignored."""
    assert not goes_direct(url, no_proxy)


@given(st.text(max_size=40))
def test_no_value_of_no_proxy_raises(text):
    """Whatever NO_PROXY contains, a proxy is found or not."""
    for url in ("http://[fd00::7]:8080/hook", "https://crm.corp.example/hook", "http://10.0.0.9/"):
        goes_direct(url, text)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALL_PROXY", "socks5://user:canary@127.0.0.1:1080"),
        ("all_proxy", "socks5h://127.0.0.1:1080/canary"),
        ("ALL_PROXY", "socks://canary:1080"),
        ("HTTPS_PROXY", "socks4://canary"),
        ("https_proxy", "ftp://canary:21"),
        ("HTTPS_PROXY", "http://[canary"),
        ("HTTPS_PROXY", "http://canary:99999"),
        ("HTTPS_PROXY", "http://"),
        ("HTTPS_PROXY", "http://ca nary:1"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_a_mistake_that_names_its_variable(name, value):
    """It names the variable and not its value, which may contain a password; a host in NO_PROXY needs no proxy."""
    with pytest.raises(ConfigMistakes) as caught:
        proxy_for("https://hooks.example.com/x", {name: value})
    (mistake,) = caught.value.mistakes
    assert mistake.startswith(f"environment: {name}: ")
    assert "canary" not in mistake
    assert proxy_for("https://hooks.example.com/x", {name: value, "NO_PROXY": "example.com"}) is None


@given(st.text(max_size=30))
def test_any_value_of_a_proxy_is_used_or_a_mistake(text):
    """No value raises anything else."""
    for value in (text, f"http://{text}", f"socks5://{text}"):
        try:
            found = proxy_for("https://hooks.example.com/x", {"HTTPS_PROXY": value})
        except ConfigMistakes:
            continue
        assert found is None or found.place[0]
