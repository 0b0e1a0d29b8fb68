public import Primitives

/// The names one client has given to prepared statements, and what each stands for. Exists only for clients
/// that prepare by name.
///
/// A Parse or Close takes effect for the client when its reply has come; until then the change is pending, in
/// one segment of its pipeline. A name with a change pending from an earlier segment is in doubt: whoever
/// asks for it has to wait for that segment's replies.
public final class ClientStatements {
    /// Names one client may hold; more are refused with an error (hostile input X11).
    public static let limit = 65_536

    /// A name. One without changes that means nothing is no name at all, but a free number.
    public struct Entry: Equatable, Sendable {
        public var name: ByteString
        public var committed: UInt32
        public var pending: UInt32
        public var segment: UInt32
        public var changes: UInt32

        public init(
            name: ByteString, committed: UInt32, pending: UInt32, segment: UInt32, changes: UInt32
        ) {
            self.name = name
            self.committed = committed
            self.pending = pending
            self.segment = segment
            self.changes = changes
        }

        var isFree: Bool { changes == 0 && committed == ExpectedReply.none }
    }

    /// By number.
    public private(set) var entries: [Entry] = []
    private var free: [UInt32] = []
    private var numbers: ByteMap<UInt32>

    /// What a name means now.
    public enum Meaning: Equatable {
        case unknown
        case known(UInt32)
        /// A change from an earlier segment has not been answered yet.
        case inDoubt
    }

    public init(seed: UInt64) { numbers = ByteMap(seed: seed) }

    /// The same names with the same numbers, in another process.
    public init(seed: UInt64, _ entries: [Entry]) {
        numbers = ByteMap(seed: seed)
        self.entries = entries
        for (place, entry) in entries.enumerated() {
            if entry.isFree {
                free.append(UInt32(truncatingIfNeeded: place))
            } else {
                _ = entry.name.withView { numbers.set($0, to: UInt32(truncatingIfNeeded: place)) }
            }
        }
    }

    public var count: Int { numbers.count }

    public func meaning(_ name: ByteView, segment: UInt32) -> Meaning {
        guard let number = numbers.value(name) else { return .unknown }
        let entry = entries[Int(number)]
        if entry.changes > 0, entry.segment != segment { return .inDoubt }
        let statement = entry.changes > 0 ? entry.pending : entry.committed
        return statement == ExpectedReply.none ? .unknown : .known(statement)
    }

    /// The number under which a name is known, or `none`.
    public func number(of name: ByteView) -> UInt32 { numbers.value(name) ?? ExpectedReply.none }

    /// The name that has this number.
    public func name(_ number: UInt32) -> ByteString {
        number < entries.count ? entries[Int(number)].name : ""
    }

    /// The name will mean this statement (or, with `none`, nothing) once the reply has come. The number that
    /// the ledger entry carries.
    public func change(_ name: ByteView, to statement: UInt32, segment: UInt32) -> UInt32 {
        let number: UInt32
        if let known = numbers.value(name) {
            number = known
        } else {
            let entry = Entry(
                name: ByteString(name), committed: ExpectedReply.none, pending: ExpectedReply.none,
                segment: 0,
                changes: 0)
            if let reused = free.popLast() {
                number = reused
                entries[Int(number)] = entry
            } else {
                number = UInt32(entries.count)
                entries.append(entry)
            }
            numbers.set(name, to: number)
        }
        entries[Int(number)].pending = statement
        entries[Int(number)].segment = segment
        entries[Int(number)].changes += 1
        return number
    }

    /// The change has taken effect. What the name meant before, to be let go of, or `none`.
    public func confirm(_ number: UInt32, statement: UInt32) -> UInt32 {
        let index = Int(number)
        let old = entries[index].committed
        entries[index].committed = statement
        finish(index)
        return old
    }

    /// The change was skipped by the server: the name means what it meant.
    public func skipped(_ number: UInt32) { finish(Int(number)) }

    /// Every statement that is committed to a name, for letting go of them (DEALLOCATE ALL, DISCARD ALL, the
    /// end). Names with changes under way stay.
    public func takeAllCommitted() -> [UInt32] {
        var taken: [UInt32] = []
        for index in entries.indices where entries[index].committed != ExpectedReply.none {
            taken.append(entries[index].committed)
            entries[index].committed = ExpectedReply.none
            if entries[index].changes == 0 { drop(index) }
        }
        return taken
    }

    private func finish(_ index: Int) {
        if entries[index].changes > 0 { entries[index].changes -= 1 }
        if entries[index].changes == 0, entries[index].committed == ExpectedReply.none { drop(index) }
    }

    private func drop(_ index: Int) {
        guard let number = entries[index].name.withView({ numbers.remove($0) }) else { return }
        entries[index].name = ""
        free.append(number)
    }
}
