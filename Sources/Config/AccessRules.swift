public import Primitives

/// Who may come from where, and how it must prove who it is: the rules of an HBA file and the maps of an
/// ident file. The first rule that fits decides; where none fits, nobody gets in.
public struct AccessRules: Equatable, Sendable {
    public internal(set) var rules: [AccessRule] = []
    public internal(set) var maps = IdentMaps()

    public init() {}

    /// Whether some line has a password in it.
    public var holdsSecrets: Bool {
        rules.contains {
            guard case .ldap(let options) = $0.method, case .found(let search) = options.entry else {
                return false
            }
            return !search.bindPassword.isEmpty
        }
    }

    /// Whether some line asks PAM.
    public var asksPAM: Bool {
        rules.contains {
            if case .pam = $0.method { return true }
            return false
        }
    }

    /// What the rules say of a connection.
    public enum Decision: Equatable, Sendable {
        case rule(AccessRule)
        /// No rule fits.
        case nothing
        /// It depends on the name of the client's host, which has to be found out first.
        case dependsOnHost
    }

    /// The first rule for this connection decides.
    public func decide(
        for user: ByteString, database: ByteString, from address: SocketAddress, host: HostName = .notAsked,
        isEncrypted: Bool, isPhysicalReplication: Bool = false
    ) -> Decision {
        for rule in rules
        where rule.fits(
            user, database, address, isEncrypted: isEncrypted, isPhysicalReplication: isPhysicalReplication)
        {
            guard case .host(let wanted) = rule.addresses else { return .rule(rule) }
            switch host {
            case .notAsked: return .dependsOnHost
            case .nameless: continue
            case .name(let name): if Self.isHost(name, wanted) { return .rule(rule) }
            }
        }
        return .nothing
    }

    /// A name that starts with a dot stands for all names that end in it. ASCII letters have no case.
    private static func isHost(_ name: ByteString, _ wanted: ByteString) -> Bool {
        guard wanted.bytes.first == UInt8(ascii: ".") else { return name.equalsIgnoringASCIICase(wanted) }
        return name.count > wanted.count
            && ByteString(Array(name.bytes.suffix(wanted.count))).equalsIgnoringASCIICase(wanted)
    }
}

/// What the DNS calls the host a client comes from.
public enum HostName: Equatable, Sendable {
    case notAsked
    /// The name of the address, one of whose addresses it is.
    case name(ByteString)
    /// There is no such name, or it was not to be found out.
    case nameless
}

/// How a rule says a client must prove who it is.
public enum AccessMethod: Equatable, Sendable {
    case trust, reject, password, md5, scramSHA256, cert, peer
    case ldap(LDAPOptions)
    case pam(service: ByteString)

    /// The service that PgBouncer asks PAM for, so that its file in /etc/pam.d goes on to count.
    public static let pamService: ByteString = "pgbouncer"

    /// As it stands in the file.
    public var name: ByteString {
        switch self {
        case .trust: "trust"
        case .reject: "reject"
        case .password: "password"
        case .md5: "md5"
        case .scramSHA256: "scram-sha-256"
        case .cert: "cert"
        case .peer: "peer"
        case .ldap: "ldap"
        case .pam: "pam"
        }
    }
}

/// One line of an HBA file.
public struct AccessRule: Equatable, Sendable {
    /// Which connections: unix sockets, or TCP with or without TLS.
    enum Connection: Equatable, Sendable { case local, host, encrypted, unencrypted }

    enum Name: Equatable, Sendable {
        case all
        /// The database of the user's own name.
        case sameUser
        case exactly(ByteString)
        case pattern(Pattern)
        /// Physical replication, whatever database it names; nothing else fits that.
        case replication
    }

    enum Addresses: Equatable, Sendable {
        case all
        case ranges([AddressRange])
        /// A host, or with a dot in front all hosts of a domain.
        case host(ByteString)
    }

    let connection: Connection
    let databases: [Name]
    let users: [Name]
    let addresses: Addresses
    public let method: AccessMethod
    /// The map to translate the system's name with.
    public let map: ByteString?
    public let file: ByteString
    public let line: Int

    /// But for the name of the client's host, when the rule asks for that.
    func fits(
        _ user: ByteString, _ database: ByteString, _ address: SocketAddress, isEncrypted: Bool,
        isPhysicalReplication: Bool
    ) -> Bool {
        let isLocal = address.family == .unix
        switch connection {
        case .local: guard isLocal else { return false }
        case .host: guard !isLocal else { return false }
        case .encrypted: guard !isLocal, isEncrypted else { return false }
        case .unencrypted: guard !isLocal, !isEncrypted else { return false }
        }
        if case .ranges(let ranges) = addresses, !ranges.contains(where: { $0.contains(address) }) {
            return false
        }
        return databases.contains {
            isPhysicalReplication ? $0 == .replication : $0.fits(database, user: user)
        } && users.contains { $0.fits(user, user: user) }
    }
}

extension AccessRule.Name {
    fileprivate func fits(_ name: ByteString, user: ByteString) -> Bool {
        switch self {
        case .all: true
        case .sameUser: name == user
        case .exactly(let wanted): name == wanted
        case .pattern(let pattern): pattern.match(name) != nil
        case .replication: false
        }
    }
}

/// Maps from names of the operating system to roles (manual: "User Name Maps").
public struct IdentMaps: Equatable, Sendable {
    struct Line: Equatable, Sendable {
        enum System: Equatable, Sendable {
            case exactly(ByteString)
            case pattern(Pattern)
        }
        enum Role: Equatable, Sendable {
            case all
            case exactly(ByteString)
            case pattern(Pattern)
            /// Front and back of a name with `\1` between them.
            case around(ByteString, ByteString)
        }
        let map: ByteString
        let system: System
        let role: Role
    }

    var lines: [Line] = []

    public init() {}

    public func has(_ map: ByteString) -> Bool { lines.contains { $0.map == map } }

    /// Whether this user of the operating system may be that role. Without a map it must be of the same name.
    public func allows(_ system: ByteString, as role: ByteString, by map: ByteString?) -> Bool {
        guard let map else { return system == role }
        return lines.contains { $0.map == map && $0.allows(system, as: role) }
    }
}

extension IdentMaps.Line {
    fileprivate func allows(_ name: ByteString, as wanted: ByteString) -> Bool {
        var group: ByteString?
        switch system {
        case .exactly(let exact):
            guard exact == name else { return false }
        case .pattern(let pattern):
            guard let match = pattern.match(name) else { return false }
            group = match.firstGroup
        }
        switch role {
        case .all: return true
        case .exactly(let exact): return exact == wanted
        case .pattern(let pattern): return pattern.match(wanted) != nil
        case .around(let front, let back):
            guard let group else { return false }
            return ByteString(front.bytes + group.bytes + back.bytes) == wanted
        }
    }
}
