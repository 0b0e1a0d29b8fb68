public import Primitives

/// How many connections each address has, and how often logins from it have failed. An IPv6 address counts
/// with all of its /64, which one customer has for the asking; unix sockets do not count.
public struct AddressBook: Sendable {
    private struct Key: Hashable {
        let family: SocketAddress.Family
        let network: UInt64

        init?(_ address: SocketAddress) {
            let address = address.unmapped
            if address.family == .unix { return nil }
            family = address.family
            network = address.high
        }
    }

    /// Failures since the first one of a minute.
    private struct Failures {
        var since: Instant
        var count: Int
    }

    /// Connections that have not said yet who they are may be so many more than an address may have in the
    /// end: cancel requests are among them.
    static let spareConnections = 8
    /// What failed logins are counted over.
    public static let failureSpan = TimeSpan.seconds(60)
    /// Addresses whose failures are remembered at once; the oldest is forgotten for one more.
    static let rememberedFailures = 4096

    private var connections: [Key: (arriving: Int, guests: Int)] = [:]
    private var failures: [Key: Failures] = [:]
    /// Whose failures are remembered, oldest first; those that have gone since are still in it.
    private var failureLine: [(key: Key, since: Instant)] = []
    /// Entries at its front that are done with.
    private var failureHead = 0

    public init() {}

    // MARK: Connections

    /// One more connection: whether there is room for it under `limit`; 0 for none. It is counted in any
    /// case.
    public mutating func arrive(_ address: SocketAddress, limit: Int) -> Bool {
        guard let key = Key(address) else { return true }
        connections[key, default: (0, 0)].arriving += 1
        return limit == 0 || connections[key, default: (0, 0)].arriving <= limit &+ Self.spareConnections
    }

    /// A connection has said who it is: whether it may be one of `limit`. `false` changes nothing.
    public mutating func enter(_ address: SocketAddress, limit: Int) -> Bool {
        guard let key = Key(address) else { return true }
        let count = connections[key] ?? (0, 0)
        if limit > 0, count.guests >= limit { return false }
        connections[key] = (count.arriving - 1, count.guests + 1)
        return true
    }

    /// A connection is gone, or no longer counts.
    public mutating func leave(_ address: SocketAddress, wasGuest: Bool) {
        guard let key = Key(address), var count = connections[key] else { return }
        if wasGuest { count.guests -= 1 } else { count.arriving -= 1 }
        connections[key] = count.arriving <= 0 && count.guests <= 0 ? nil : count
    }

    /// Takes `enter` back.
    public mutating func stepBack(_ address: SocketAddress) {
        guard let key = Key(address) else { return }
        connections[key, default: (0, 0)].arriving += 1
        leave(address, wasGuest: true)
    }

    /// Addresses that have connections.
    public var addressCount: Int { connections.count }

    // MARK: Failed logins

    public mutating func failed(_ address: SocketAddress, now: Instant) {
        guard let key = Key(address) else { return }
        forgetFailures(now: now)
        if let known = failures[key], now < known.since + Self.failureSpan {
            failures[key] = Failures(since: known.since, count: known.count + 1)
            return
        }
        failures[key] = Failures(since: now, count: 1)
        failureLine.append((key, now))
        if failures.count > Self.rememberedFailures { forgetFirst() }
    }

    /// Whether so many logins have failed that nobody there is listened to for now.
    public func isShutOut(_ address: SocketAddress, limit: Int, now: Instant) -> Bool {
        guard limit > 0, let key = Key(address), let known = failures[key] else { return false }
        return known.count >= limit && now < known.since + Self.failureSpan
    }

    private mutating func forgetFailures(now: Instant) {
        while failureHead < failureLine.count, now >= failureLine[failureHead].since + Self.failureSpan {
            forgetFirst()
        }
    }

    private mutating func forgetFirst() {
        let first = failureLine[failureHead]
        failureHead += 1
        if failures[first.key]?.since == first.since { failures[first.key] = nil }
        guard failureHead > Self.rememberedFailures else { return }
        failureLine.removeFirst(failureHead)
        failureHead = 0
    }
}
