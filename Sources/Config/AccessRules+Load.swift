import Primitives

extension AccessRules {
    /// Reads an HBA file and, when there is one, an ident file. One broken line refuses both: a mistyped
    /// `reject` that were skipped would open the door to whatever stands below it.
    ///
    /// - networks: of the machine's interfaces, for `samehost` and `samenet`; `nil` when they are not known.
    static func load(
        hba: ByteString, ident: ByteString?, networks: Networks?, _ files: FolderReader
    ) throws(ConfigError) -> AccessRules {
        var access = AccessRules()
        if let ident, !ident.isEmpty {
            for line in try RuleLines(ident, .badIdentLine, files).lines {
                access.maps.lines.append(try IdentMaps.Line(line))
            }
        }
        for line in try RuleLines(hba, .badAccessRule, files).lines {
            let rule = try AccessRule(line, networks)
            if let map = rule.map, !access.maps.has(map) {
                throw ConfigError(
                    .badAccessRule, line.place,
                    expected: "ident map \(map.quotable) is not found in ident config file")
            }
            access.rules.append(rule)
        }
        return access
    }
}

/// The addresses of the machine itself.
public struct Networks: Equatable, Sendable {
    /// One a network address, and one for everybody in its network.
    public var hosts: [AddressRange] = []
    public var networks: [AddressRange] = []
    public init(hosts: [AddressRange] = [], networks: [AddressRange] = []) {
        self.hosts = hosts
        self.networks = networks
    }
}

extension AccessRule {
    fileprivate init(_ line: RuleLines.Line, _ networks: Networks?) throws(ConfigError) {
        var reader = RuleReader(line)
        file = line.place.file
        self.line = line.place.line
        let type = try reader.word("a connection type")
        switch type.text {
        case "local": connection = .local
        case "host", "hostnogssenc": connection = .host
        case "hostssl": connection = .encrypted
        case "hostnossl": connection = .unencrypted
        case "hostgssenc": throw reader.wrong("GSSAPI encryption is not supported")
        default:
            throw reader.wrong(
                "unknown type \(type.text.quotable): expected local, host, hostssl or hostnossl")
        }
        databases = try reader.names("a database", isUser: false)
        users = try reader.names("a user", isUser: true)
        addresses = connection == .local ? .all : try reader.addresses(networks)
        var method = try reader.method(isLocal: connection == .local)
        map = try reader.options(&method)
        self.method = method
    }
}

/// Takes the fields of one line from front to back.
private struct RuleReader {
    private let line: RuleLines.Line
    private var next = 0

    init(_ line: RuleLines.Line) { self.line = line }

    func wrong(_ text: String) -> ConfigError { ConfigError(.badAccessRule, line.place, expected: text) }

    private mutating func field(_ what: String) throws(ConfigError) -> [RuleLines.Token] {
        guard next < line.fields.count else { throw wrong("expected \(what), and the line ends") }
        defer { next += 1 }
        return line.fields[next]
    }

    mutating func word(_ what: String) throws(ConfigError) -> RuleLines.Token {
        let tokens = try field(what)
        guard let token = tokens.first, tokens.count == 1 else {
            throw wrong("expected \(what), found a list")
        }
        return token
    }

    mutating func names(_ what: String, isUser: Bool) throws(ConfigError) -> [AccessRule.Name] {
        var names: [AccessRule.Name] = []
        for token in try field(what) { names.append(try name(token, isUser: isUser)) }
        return names
    }

    private func name(_ token: RuleLines.Token, isUser: Bool) throws(ConfigError) -> AccessRule.Name {
        if token.isWord("all") { return .all }
        if let pattern = try pattern(token) { return .pattern(pattern) }
        if isUser {
            if !token.isQuoted, token.text.bytes.first == UInt8(ascii: "+") {
                throw wrong(
                    "\(token.text.quotable): members of a role are known to the server only; name the users")
            }
            return .exactly(token.text)
        }
        if token.isWord("sameuser") { return .sameUser }
        if token.isWord("replication") { return .replication }
        if token.isWord("samerole") || token.isWord("samegroup") {
            throw wrong(
                "\(token.text.quotable): members of a role are known to the server only; name the databases")
        }
        return .exactly(token.text)
    }

    private func pattern(_ token: RuleLines.Token) throws(ConfigError) -> Pattern? {
        guard token.text.bytes.first == UInt8(ascii: "/") else { return nil }
        do throws(Pattern.Problem) {
            return try Pattern(ByteString(Array(token.text.bytes.dropFirst())))
        } catch {
            throw wrong(error.text)
        }
    }

    // MARK: Addresses

    mutating func addresses(_ networks: Networks?) throws(ConfigError) -> AccessRule.Addresses {
        let token = try word("an address")
        if token.isWord("all") { return .all }
        if token.isWord("samehost") || token.isWord("samenet") {
            guard let networks else { throw wrong("the addresses of this machine are not known here") }
            return .ranges(token.isWord("samehost") ? networks.hosts : networks.networks)
        }
        let text = token.text.bytes
        if let slash = text.firstIndex(of: UInt8(ascii: "/")) {
            let (front, back) = (ByteString(Array(text[..<slash])), ByteString(Array(text[(slash + 1)...])))
            guard let address = SocketAddress(parsing: front) else {
                throw wrong("failed to parse address \(token.text.quotable)")
            }
            guard back.count <= 3, !back.isEmpty, back.bytes.allSatisfy(\.isDigit),
                let prefix = Numbers.decimal(back), let range = AddressRange(address, prefix: prefix)
            else { throw wrong("invalid mask in \(token.text.quotable)") }
            return .ranges([range])
        }
        guard let address = SocketAddress(parsing: token.text) else { return .host(try host(token.text)) }
        let mask = try word("a mask")
        guard let bits = SocketAddress(parsing: mask.text), bits.family == address.family else {
            throw wrong("did not find mask behind \(token.text.quotable)")
        }
        return .ranges([AddressRange(address, mask: bits)])
    }

    private func host(_ text: ByteString) throws(ConfigError) -> ByteString {
        let isName = text.bytes.allSatisfy {
            $0.isDigit || (0x61...0x7A).contains($0.asciiLowercased) || $0 == UInt8(ascii: "-")
                || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: ".")
        }
        let isNumber = text.bytes.allSatisfy { $0.isDigit || $0 == UInt8(ascii: ".") }
        guard isName, !isNumber, text.count <= Limits.hostNameBytes else {
            throw wrong(
                """
                \(text.quotable) is no address: expected all, samehost, samenet, ADDRESS/BITS, an address \
                and its mask, the name of a host, or .DOMAIN
                """)
        }
        return text
    }

    // MARK: Methods

    mutating func method(isLocal: Bool) throws(ConfigError) -> AccessMethod {
        let token = try word("a method")
        switch token.text {
        case "trust": return .trust
        case "reject": return .reject
        case "password": return .password
        case "md5": return .md5
        case "scram-sha-256": return .scramSHA256
        case "peer", "ident":
            if isLocal { return .peer }
            throw wrong("method \(token.text.quotable) is for lines of type local only")
        case "cert": return .cert
        case "pam": return .pam(service: AccessMethod.pamService)
        case "ldap": return .ldap(LDAPOptions())
        default:
            throw wrong(
                """
                unsupported method \(token.text.quotable): expected trust, reject, password, md5, \
                scram-sha-256, cert, peer, ldap or pam
                """)
        }
    }

    /// `name=value` words up to the end of the line: the map, and into the method what is its own.
    mutating func options(_ method: inout AccessMethod) throws(ConfigError) -> ByteString? {
        var map: ByteString?
        var ldap: [LDAPOptions.Pair] = []
        for token in line.fields[min(next, line.fields.count)...].flatMap({ $0 }) {
            let text = token.text
            guard let equals = text.bytes.firstIndex(of: UInt8(ascii: "=")), equals + 1 < text.count else {
                // It may be the end of a password that should have been quoted.
                let found = if case .ldap = method { "a word without =" } else { text.quotable }
                throw wrong("expected name=value, found \(found)")
            }
            let name = ByteString(Array(text.bytes[..<equals]))
            let value = ByteString(Array(text.bytes[(equals + 1)...]))
            switch (method, name) {
            case (.ldap, _): ldap.append(LDAPOptions.Pair(name: name, value: value))
            case (.pam, "pamservice"):
                guard !value.bytes.contains(UInt8(ascii: "/")), value.count <= Limits.pamServiceBytes else {
                    throw wrong("pamservice: expected the name of a file in /etc/pam.d")
                }
                method = .pam(service: value)
            case (.pam, "pam_use_hostname") where value == "0": continue
            case (.pam, "pam_use_hostname"):
                throw wrong("pam_use_hostname=1 is not supported: PAM is told the address")
            case (.peer, "map"), (.cert, "map"): map = value
            // The line asks for a certificate that we trust and for its name, whatever it says of that.
            case (.cert, "clientcert"): continue
            default:
                throw wrong("unsupported option \(name.quotable) for method \(method.name.quotable)")
            }
        }
        if case .ldap = method {
            do throws(LDAPOptions.Problem) {
                method = .ldap(try LDAPOptions(ldap))
            } catch {
                throw wrong(error.text)
            }
        }
        return map
    }
}

extension IdentMaps.Line {
    fileprivate init(_ line: RuleLines.Line) throws(ConfigError) {
        func wrong(_ text: String) -> ConfigError { ConfigError(.badIdentLine, line.place, expected: text) }
        guard line.fields.count == 3, line.fields.allSatisfy({ $0.count == 1 }) else {
            throw wrong("expected the name of a map, a name of the system and a role")
        }
        func pattern(_ token: RuleLines.Token) throws(ConfigError) -> Pattern? {
            guard token.text.bytes.first == UInt8(ascii: "/") else { return nil }
            do throws(Pattern.Problem) {
                return try Pattern(ByteString(Array(token.text.bytes.dropFirst())))
            } catch {
                throw wrong(error.text)
            }
        }
        let (name, wanted) = (line.fields[1][0], line.fields[2][0])
        map = line.fields[0][0].text
        let systemPattern = try pattern(name)
        system = systemPattern.map { .pattern($0) } ?? .exactly(name.text)
        if wanted.isWord("all") {
            role = .all
        } else if let rolePattern = try pattern(wanted) {
            role = .pattern(rolePattern)
        } else if !wanted.isQuoted, wanted.text.bytes.first == UInt8(ascii: "+") {
            throw wrong("\(wanted.text.quotable): members of a role are known to the server only; name them")
        } else if let systemPattern, let (front, back) = wanted.text.aroundReference {
            guard systemPattern.groups > 0 else {
                throw wrong("the regular expression has no parentheses for \\1 in \(wanted.text.quotable)")
            }
            role = .around(front, back)
        } else {
            role = .exactly(wanted.text)
        }
    }
}

extension ByteString {
    /// What stands in front of and behind the first `\1`.
    fileprivate var aroundReference: (ByteString, ByteString)? {
        for index in bytes.indices.dropLast()
        where bytes[index] == UInt8(ascii: "\\") && bytes[index + 1] == UInt8(ascii: "1") {
            return (ByteString(Array(bytes[..<index])), ByteString(Array(bytes[(index + 2)...])))
        }
        return nil
    }
}
