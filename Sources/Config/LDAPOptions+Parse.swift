import Primitives

extension LDAPOptions {
    /// The text of `auth_ldap_options`: `name=value`, or `name="value"` with `""` for a quote, between blanks
    /// or commas.
    init(_ text: ByteString) throws(Problem) {
        var pairs: [Pair] = []
        var cursor = ByteCursor(text)
        cursor.skip { $0.isSpace || $0 == UInt8(ascii: ",") }
        while !cursor.atEnd {
            let name = try Self.word(&cursor) { $0 == UInt8(ascii: "=") || $0.isSpace }
            guard !name.isEmpty, cursor.skip(UInt8(ascii: "=")) else {
                throw Problem(text: "expected name=value, where the value may be in double quotes")
            }
            let value = try Self.word(&cursor) { $0.isSpace || $0 == UInt8(ascii: ",") }
            pairs.append(Pair(name: name, value: value))
            cursor.skip { $0.isSpace || $0 == UInt8(ascii: ",") }
        }
        try self.init(pairs)
    }

    private static func word(
        _ cursor: inout ByteCursor, until isEnd: (UInt8) -> Bool
    ) throws(Problem) -> ByteString {
        guard cursor.skip(UInt8(ascii: "\"")) else { return cursor.take { !isEnd($0) } }
        var word: [UInt8] = []
        repeat {
            word += cursor.take { $0 != UInt8(ascii: "\"") }.bytes
            guard cursor.skip(UInt8(ascii: "\"")) else { throw Problem(text: "a quoted word does not end") }
            if cursor.peek == UInt8(ascii: "\"") { word.append(UInt8(ascii: "\"")) }
        } while cursor.skip(UInt8(ascii: "\""))
        return ByteString(word)
    }

    init(_ pairs: [Pair]) throws(Problem) {
        var reader = LDAPOptionReader()
        for pair in pairs { try reader.take(pair) }
        self = try reader.finish()
        text = Self.text(pairs)
    }

    private static func text(_ pairs: [Pair]) -> ByteString {
        var words: [[UInt8]] = []
        for pair in pairs {
            let value: ByteString = pair.name == "ldapbindpasswd" ? "***" : pair.value
            let quoted = value.bytes.flatMap { $0 == UInt8(ascii: "\"") ? [$0, $0] : [$0] }
            let isPlain = value.bytes.allSatisfy {
                !$0.isSpace && $0 != UInt8(ascii: ",") && $0 != UInt8(ascii: "\"")
            }
            let mark = isPlain ? [] : [UInt8(ascii: "\"")]
            words.append(pair.name.bytes + [UInt8(ascii: "=")] + mark + quoted + mark)
        }
        return ByteString(Array(words.joined(separator: [UInt8(ascii: " ")])))
    }
}

/// Collects the options, and says what does not go together.
private struct LDAPOptionReader {
    private var scheme: ByteString?
    private var hosts: [ByteString] = []
    private var port: UInt16?
    private var startsTLS = false
    private var prefix: ByteString?
    private var suffix: ByteString?
    private var base: ByteString?
    private var bindName: ByteString?
    private var bindPassword: ByteString?
    private var attribute: ByteString?
    private var filter: ByteString?
    private var scope = LDAPOptions.Scope.subtree

    mutating func take(_ pair: LDAPOptions.Pair) throws(LDAPOptions.Problem) {
        let value = pair.value
        if value.isEmpty { throw wrong("\(pair.name.quotable) has no value") }
        if value.bytes.contains(0) { throw wrong("there is a zero byte in \(pair.name.quotable)") }
        switch pair.name {
        case "ldaptls":
            guard value == "0" || value == "1" else { throw wrong("ldaptls: expected 0 or 1") }
            startsTLS = value == "1"
        case "ldapscheme": scheme = try known(value)
        case "ldapserver": hosts = value.bytes.split(separator: 0x20).map { ByteString(Array($0)) }
        case "ldapport": port = try number(value, "ldapport")
        case "ldapprefix": prefix = value
        case "ldapsuffix": suffix = value
        case "ldapbasedn": base = value
        case "ldapbinddn": bindName = value
        case "ldapbindpasswd": bindPassword = value
        case "ldapsearchattribute": attribute = value
        case "ldapsearchfilter": filter = value
        case "ldapurl": try take(url: value)
        default:
            throw wrong(
                """
                unsupported option \(pair.name.quotable): expected ldapserver, ldapport, ldapscheme, \
                ldaptls, ldapprefix, ldapsuffix, ldapbasedn, ldapbinddn, ldapbindpasswd, \
                ldapsearchattribute, ldapsearchfilter or ldapurl
                """)
        }
    }

    func finish() throws(LDAPOptions.Problem) -> LDAPOptions {
        var options = LDAPOptions()
        let isEncrypted = scheme == "ldaps"
        options.isEncrypted = isEncrypted
        options.startsTLS = startsTLS
        options.servers = hosts.map { host in
            ByteString(Array((isEncrypted ? "ldaps://" : "ldap://").utf8) + place(host, isEncrypted))
        }
        if prefix != nil || suffix != nil {
            if base != nil || bindName != nil || bindPassword != nil || attribute != nil || filter != nil {
                throw wrong("cannot mix options for simple bind and search+bind modes")
            }
            if hosts.isEmpty { throw wrong("ldapserver is missing") }
            options.entry = .named(prefix: prefix ?? "", suffix: suffix ?? "")
            return options
        }
        guard let base else { throw wrong("one of ldapbasedn, ldapprefix, ldapsuffix, ldapurl is needed") }
        if attribute != nil, filter != nil {
            throw wrong("cannot use ldapsearchattribute together with ldapsearchfilter")
        }
        if hosts.isEmpty, base.isEmpty { throw wrong("ldapserver is missing, and there is no ldapbasedn") }
        var search = LDAPOptions.Search()
        search.base = base
        search.scope = scope
        search.bindName = bindName ?? ""
        search.bindPassword = bindPassword ?? ""
        if let filter { search.filter = filter }
        if let attribute {
            search.filter = ByteString(Array("(".utf8) + attribute.bytes + Array("=$username)".utf8))
        }
        options.entry = .found(search)
        return options
    }

    private func wrong(_ text: String) -> LDAPOptions.Problem { LDAPOptions.Problem(text: text) }

    private func known(_ scheme: ByteString) throws(LDAPOptions.Problem) -> ByteString {
        guard scheme == "ldap" || scheme == "ldaps" else {
            throw wrong("invalid ldapscheme \(scheme.quotable): expected ldap or ldaps")
        }
        return scheme
    }

    private func number(_ text: ByteString, _ name: String) throws(LDAPOptions.Problem) -> UInt16 {
        guard let value = Numbers.decimal(text), value > 0, let port = UInt16(exactly: value) else {
            throw wrong("invalid \(name) \(text.quotable): expected 1 to 65535")
        }
        return port
    }

    /// `host:port`. An IPv6 address stands in brackets; a host may bring its own port.
    private func place(_ host: ByteString, _ isEncrypted: Bool) -> [UInt8] {
        let number = Array(":\(port ?? (isEncrypted ? 636 : 389))".utf8)
        if host.bytes.first == UInt8(ascii: "[") {
            return host.bytes.last == UInt8(ascii: "]") ? host.bytes + number : host.bytes
        }
        switch host.bytes.count(where: { $0 == UInt8(ascii: ":") }) {
        case 0: return host.bytes + number
        case 1: return host.bytes
        default: return Array("[".utf8) + host.bytes + Array("]".utf8) + number
        }
    }

    // MARK: URLs

    /// `ldap[s]://host[:port]/base[?attribute[?scope[?filter]]]` (RFC 4516).
    private mutating func take(url: ByteString) throws(LDAPOptions.Problem) {
        var cursor = ByteCursor(url)
        let scheme: ByteString
        if cursor.skip(word: "ldap://") {
            scheme = "ldap"
        } else if cursor.skip(word: "ldaps://") {
            scheme = "ldaps"
        } else {
            throw wrong("could not parse LDAP URL: expected ldap://host/base or ldaps://host/base")
        }
        self.scheme = scheme
        let host = try decoded(cursor.take { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") })
        hosts = host.isEmpty ? [] : [host]
        port = nil
        _ = cursor.skip(UInt8(ascii: "/"))
        let parts = cursor.takeRest().bytes
            .split(separator: UInt8(ascii: "?"), omittingEmptySubsequences: false)
            .map { ByteString(Array($0)) }
        guard parts.count <= 4 else { throw wrong("could not parse LDAP URL: extensions are not supported") }
        base = try decoded(parts.first ?? "")
        if parts.count > 1, let first = parts[1].bytes.split(separator: UInt8(ascii: ",")).first {
            attribute = try decoded(ByteString(Array(first)))
        }
        switch parts.count > 2 ? parts[2] : "" {
        case "", "base": scope = .base
        case "one": scope = .oneLevel
        case "sub": scope = .subtree
        default: throw wrong("could not parse LDAP URL: the scope is none of base, one and sub")
        }
        if parts.count > 3, !parts[3].isEmpty { filter = try decoded(parts[3]) }
    }

    private func decoded(_ text: ByteString) throws(LDAPOptions.Problem) -> ByteString {
        var cursor = ByteCursor(text)
        var bytes: [UInt8] = []
        while let byte = cursor.next() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = cursor.next()?.hexDigit, let low = cursor.next()?.hexDigit,
                high << 4 | low != 0
            else { throw wrong("could not parse LDAP URL: a % without two hexadecimal digits behind it") }
            bytes.append(high << 4 | low)
        }
        return ByteString(bytes)
    }
}

extension UInt8 {
    fileprivate var hexDigit: UInt8? {
        switch self {
        case 0x30...0x39: self & 15
        case 0x41...0x46, 0x61...0x66: (self & 15) &+ 9
        default: nil
        }
    }
}
