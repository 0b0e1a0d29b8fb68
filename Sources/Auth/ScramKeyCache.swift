public import Primitives

/// What keys are to be derived from.
public struct Derivation: Sendable {
    public let secret: Secret
    public let salt: ByteString
    public let iterations: Int

    public func isSame(as other: Derivation) -> Bool {
        salt == other.salt && iterations == other.iterations && secret.isSame(as: other.secret)
    }
}

/// Keys derived from plain passwords, so that PBKDF2 runs once per secret, salt and iteration count and not
/// once per login. One worker's value; the engine keeps one for clients and one for servers, so that a server
/// which changes its salt all the time cannot push the clients' keys out.
public struct ScramKeyCache: Sendable {
    private struct Entry: Sendable {
        let secret: Secret
        let salt: ByteString
        let iterations: Int
        let keys: ScramKeys
        var lastUse: UInt64
    }

    /// Entries it may hold before the one longest unused makes room.
    public let capacity: Int
    public private(set) var hits: UInt64 = 0
    /// Every one of them ran PBKDF2.
    public private(set) var misses: UInt64 = 0
    private var entries: [Entry] = []

    public init(capacity: Int = 1024) { self.capacity = max(1, capacity) }

    public var count: Int { entries.count }

    /// The keys of a plain secret. Secrets compare by their bytes: a reload that changes nothing costs
    /// nothing, and a changed password never finds old keys.
    public mutating func keys(of secret: Secret, salt: ByteString, iterations: Int) -> ScramKeys {
        let use = hits &+ misses
        for index in entries.indices
        where entries[index].salt == salt && entries[index].iterations == iterations
            && entries[index].secret.isSame(as: secret)
        {
            hits &+= 1
            entries[index].lastUse = use
            return entries[index].keys
        }
        let keys = secret.withView { ScramKeys.derive(password: $0, salt: salt, iterations: iterations) }
        put(keys, for: Derivation(secret: secret, salt: salt, iterations: iterations))
        return keys
    }

    /// Whether `keys` would answer without PBKDF2.
    public func has(_ wanted: Derivation) -> Bool {
        entries.contains {
            $0.salt == wanted.salt && $0.iterations == wanted.iterations
                && $0.secret.isSame(as: wanted.secret)
        }
    }

    /// Keys that were not here and have been derived, wherever that was.
    public mutating func put(_ keys: ScramKeys, for derivation: Derivation) {
        let use = hits &+ misses
        misses &+= 1
        if entries.count >= capacity, let oldest = entries.indices.min(by: { isOlder($0, than: $1) }) {
            entries.remove(at: oldest)
        }
        entries.append(
            Entry(
                secret: derivation.secret, salt: derivation.salt, iterations: derivation.iterations,
                keys: keys, lastUse: use))
    }

    /// Forgets, and so wipes, everything.
    public mutating func removeAll() { entries.removeAll() }

    private func isOlder(_ a: Int, than b: Int) -> Bool { entries[a].lastUse < entries[b].lastUse }
}
