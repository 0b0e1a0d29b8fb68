import Primitives
import Testing

@testable import Config

/// The options of LDAP, and how names of users become names of entries and filters.
@Suite struct LDAPOptionsTests {
    private static func options(_ text: ByteString) -> LDAPOptions? { try? LDAPOptions(text) }

    private static func problem(_ text: ByteString) -> String? {
        do throws(LDAPOptions.Problem) {
            _ = try LDAPOptions(text)
            return nil
        } catch {
            return error.text
        }
    }

    @Test(
        arguments: [
            ("ldapserver=a ldapprefix=x", ["ldap://a:389"]),
            ("ldapserver=\"a b  c:77\" ldapprefix=x", ["ldap://a:389", "ldap://b:389", "ldap://c:77"]),
            (
                "ldapserver=\"::1 [::2] [::3]:7\", ldapport=5,ldapprefix=x",
                ["ldap://[::1]:5", "ldap://[::2]:5", "ldap://[::3]:7"]
            ),
            ("ldapscheme=ldaps ldapserver=a ldapprefix=x", ["ldaps://a:636"]),
            ("ldapurl=ldap://a", ["ldap://a:389"]), ("ldapurl=LDAPS://a:1/b", ["ldaps://a:1"]),
            ("ldapurl=\"ldap://[::1]:7/b?uid?sub\"", ["ldap://[::1]:7"]),
            ("ldapbasedn=\"dc=a,dc=b\"", []), ("ldapurl=ldap:///dc=a", []),
        ] as [(ByteString, [ByteString])])
    func servers(_ text: ByteString, _ servers: [ByteString]) {
        // A URL without a base has an empty one, and that is a base.
        #expect(Self.options(text)?.servers == servers)
    }

    @Test(
        arguments: [
            ("ldapbasedn=b", "b", LDAPOptions.Scope.subtree, "(uid=$username)"),
            ("ldapbasedn=b ldapsearchattribute=cn", "b", .subtree, "(cn=$username)"),
            ("ldapbasedn=b ldapsearchfilter=\"a \"\"b\"\" $username\"", "b", .subtree, "a \"b\" $username"),
            ("ldapurl=ldap://a/b", "b", .base, "(uid=$username)"),
            ("ldapurl=\"ldap://a/o=%d0%b9%20x?cn,sn?one\"", "o=й x", .oneLevel, "(cn=$username)"),
            ("ldapurl=ldap://a/b??sub?(%7ca=b)", "b", .subtree, "(|a=b)"),
            ("ldapurl=ldap://a/b????", nil, .base, ""), ("ldapurl=ldap://a/b%00", nil, .base, ""),
        ] as [(ByteString, ByteString?, LDAPOptions.Scope, ByteString)])
    func searches(_ text: ByteString, _ base: ByteString?, _ scope: LDAPOptions.Scope, _ filter: ByteString) {
        let text: ByteString = ByteString(Array("ldapserver=a ".utf8) + text.bytes)
        guard let base else {
            #expect(Self.options(text) == nil)
            return
        }
        guard case .found(let search)? = Self.options(text)?.entry else {
            Issue.record("\(text.lossyText): \(Self.problem(text) ?? "no search")")
            return
        }
        #expect(search.base == base && search.scope == scope && search.filter == filter)
    }

    @Test func thePasswordIsNotInTheText() {
        let options = Self.options("ldapserver=a ldapbasedn=\"b c\" ldapbinddn=d ldapbindpasswd=\"s \"\"t\"")
        #expect(options?.text == "ldapserver=a ldapbasedn=\"b c\" ldapbinddn=d ldapbindpasswd=***")
        guard case .found(let search)? = options?.entry else {
            Issue.record("no search")
            return
        }
        #expect(search.bindPassword == "s \"t")
        for text in [
            "ldapbindpasswd=hush ldapport=x", "ldapbindpasswd=hush x", "ldapbindpasswd=hush,ldapserver=a",
        ]
            as [ByteString]
        {
            #expect(Self.problem(text)?.contains("hush") == false)
        }
    }

    @Test(
        arguments: [
            ("", "one of ldapbasedn"), ("a", "expected name=value"), ("=b", "expected name=value"),
            ("ldapserver=", "ldapserver has no value"), ("ldapserver=\"a", "does not end"),
            ("ldaphost=a", "unsupported option"),
            ("ldapbasedn=\"\" ldapserver=a", "ldapbasedn has no value"),
        ] as [(ByteString, String)])
    func whatIsWrong(_ text: ByteString, _ words: String) {
        #expect(Self.problem(text)?.contains(words) == true)
    }

    @Test(
        arguments: [
            ("joe", "joe", "joe"), ("a,b", "a\\,b", "a,b"), (" a ", "\\ a\\ ", " a "),
            ("#a#", "\\#a#", "#a#"),
            ("a=b+c", "a\\=b\\+c", "a=b+c"), ("\"<>;\\", "\\\"\\<\\>\\;\\\\", "\"<>;\\5c"),
            ("a*(b)", "a*(b)", "a\\2a\\28b\\29"), ("a\nb\u{7f}", "a\\0ab\\7f", "a\\0ab\\7f"),
            (" ", "\\ ", " "),
            ("café", "café", "café"), ("", "", ""), ("$username", "$username", "$username"),
        ] as [(ByteString, ByteString, ByteString)])
    func names(_ user: ByteString, _ inName: ByteString, _ inFilter: ByteString) {
        let join = { (parts: [ByteString]) in ByteString(parts.flatMap(\.bytes)) }
        #expect(
            LDAPOptions.entryName(prefix: "uid=", user: user, suffix: ",dc=x")
                == join(["uid=", inName, ",dc=x"]))
        // No distinguished name: as it is.
        #expect(
            LDAPOptions.entryName(prefix: "DOM\\", user: user, suffix: "@x") == join(["DOM\\", user, "@x"]))
        var search = LDAPOptions.Search()
        search.filter = "(|(a=$username)(b=$username$user))"
        #expect(search.filter(for: user) == join(["(|(a=", inFilter, ")(b=", inFilter, "$user))"]))
    }
}
