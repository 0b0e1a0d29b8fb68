/// The statements one server has prepared, least recently used first to go (`max_prepared_statements`).
///
/// A statement counts as prepared only when the server has said so (ParseComplete); until then it is under
/// way, in a segment of the pipeline, and gone again if an error skips it.
public struct ServerStatements: ~Copyable {
    public enum Presence: Equatable, Sendable {
        case absent
        /// A request that would have settled it was skipped: it may be there or not.
        case unknown
        /// Its Parse was sent in this segment of the pipeline, and not answered yet.
        case underWay(segment: UInt32)
        case prepared
    }

    private struct Entry {
        var statement: UInt32
        var confirmed: Bool
        var segment: UInt32
        var lastUse: UInt64
    }

    private var entries: [Entry] = []
    private var places: [UInt32: Int] = [:]
    private var uses: UInt64 = 0
    /// Statements whose Close has not been answered yet, with its segment.
    private var closing: [UInt32: UInt32] = [:]

    /// The unnamed statement: whose text it holds, and whether the server has confirmed it.
    public private(set) var unnamed: (statement: UInt32, presence: Presence) = (ExpectedReply.none, .absent)

    public init() {}

    public var count: Int { entries.count }

    /// What a request in this segment may count on. What is prepared counts as used, for the order of
    /// eviction.
    public mutating func use(_ statement: UInt32, segment: UInt32) -> Presence {
        guard let place = places[statement] else {
            // A Close sent in an earlier segment may yet be skipped.
            if let closing = closing[statement], closing != segment { return .underWay(segment: closing) }
            return .absent
        }
        guard entries[place].confirmed else { return .underWay(segment: entries[place].segment) }
        uses &+= 1
        entries[place].lastUse = uses
        return .prepared
    }

    public func has(_ statement: UInt32) -> Bool { places[statement] != nil }

    public func isConfirmed(_ statement: UInt32) -> Bool {
        places[statement].map { entries[$0].confirmed } ?? false
    }

    /// Its Close has been sent in this segment; whoever sends it holds the statement until it is answered.
    public mutating func closeSent(_ statement: UInt32, segment: UInt32) {
        forget(statement)
        closing[statement] = segment
    }

    public mutating func closeAnswered(_ statement: UInt32) { closing[statement] = nil }

    public mutating func parseSent(_ statement: UInt32, segment: UInt32) {
        uses &+= 1
        if let place = places[statement] {
            entries[place].confirmed = false
            entries[place].segment = segment
            entries[place].lastUse = uses
        } else {
            places[statement] = entries.count
            entries.append(Entry(statement: statement, confirmed: false, segment: segment, lastUse: uses))
        }
    }

    public mutating func confirm(_ statement: UInt32) {
        if let place = places[statement] { entries[place].confirmed = true }
    }

    /// `true` when it was here.
    @discardableResult
    public mutating func forget(_ statement: UInt32) -> Bool {
        guard let place = places.removeValue(forKey: statement) else { return false }
        let last = entries.removeLast()
        if place < entries.count {
            entries[place] = last
            places[last.statement] = place
        }
        return true
    }

    /// The statement to drop so that one more fits, or `nil` when there is room. Only confirmed ones are
    /// dropped.
    public func evictionCandidate(limit: Int) -> UInt32? {
        guard entries.count >= limit else { return nil }
        return entries.lazy.filter(\.confirmed).min { $0.lastUse < $1.lastUse }?.statement
    }

    /// Every statement the server is known to have, for letting go of them; those under way stay.
    public mutating func takeAllConfirmed() -> [UInt32] {
        let confirmed = entries.filter(\.confirmed).map { $0.statement }
        for statement in confirmed { forget(statement) }
        return confirmed
    }

    /// Nothing about them is in doubt.
    public var isSettled: Bool { closing.isEmpty && entries.allSatisfy(\.confirmed) }

    /// Every statement with whether it is confirmed and its segment, least recently used first.
    public var standing: [(statement: UInt32, isConfirmed: Bool, segment: UInt32)] {
        entries.sorted { $0.lastUse < $1.lastUse }.map { ($0.statement, $0.confirmed, $0.segment) }
    }

    /// Statements whose Close has not been answered yet, with its segment.
    public var closingInOrder: [(statement: UInt32, segment: UInt32)] {
        closing.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    /// Every statement, least recently used first.
    public var inOrderOfUse: [UInt32] { entries.sorted { $0.lastUse < $1.lastUse }.map { $0.statement } }

    /// Every statement, for letting go of them when the server goes.
    public mutating func takeAll() -> [UInt32] {
        let all = entries.map { $0.statement }
        for statement in all { forget(statement) }
        return all
    }

    public mutating func setUnnamed(_ statement: UInt32, _ presence: Presence) {
        unnamed = (statement, presence)
    }
}
