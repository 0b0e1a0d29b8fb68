public import Primitives

/// Who may come from where, and how it must prove who it is: the rules of an HBA file and the maps of an
/// ident file. The first rule that fits decides; where none fits, nobody gets in.
public struct AccessRules: Equatable, Sendable {
    public internal(set) var rules: [AccessRule] = []
    public internal(set) var maps = IdentMaps()

    public init() {}

    /// The first rule for this connection.
    public func rule(
        for user: ByteString, database: ByteString, from address: SocketAddress, isEncrypted: Bool,
        isPhysicalReplication: Bool = false
    ) -> AccessRule? {
        rules.first {
            $0.fits(
                user, database, address, isEncrypted: isEncrypted,
                isPhysicalReplication: isPhysicalReplication)
        }
    }
}

/// How a rule says a client must prove who it is.
public enum AccessMethod: Equatable, Sendable {
    case trust, reject, password, md5, scramSHA256, cert, peer
    /// A method of PgBouncer's that is not there yet: whoever comes to its line is refused.
    case missing(ByteString)

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
        case .missing(let name): name
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
