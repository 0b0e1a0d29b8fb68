public import Primitives

/// A set of values of the tracked parameters, kept once however many sessions have it. Equal sets have equal
/// numbers, so that "does this server suit this client" is one comparison.
public struct ParameterSetID: Hashable, Sendable, BitwiseCopyable {
    fileprivate let number: UInt32
}

/// The parameters that PostgreSQL reports (manual: "ParameterStatus"), followed for every session.
///
/// The server's own report is the only truth for what a server has (I11); a client has what its server
/// reported while the two were together, or asked for at start-up.
public struct ParameterTable: ~Copyable {
    /// Reported, but not for a session to set.
    private static let fixed: [ByteString] = [
        "server_version", "server_encoding", "integer_datetimes", "in_hot_standby", "is_superuser",
    ]
    /// What PgBouncer follows, in its order; `track_extra_parameters` come behind.
    private static let builtIn: [ByteString] = [
        "client_encoding", "DateStyle", "TimeZone", "standard_conforming_strings", "application_name",
    ]
    /// Different parameters followed; what is reported beyond that is passed on and not followed.
    public static let limit = 64

    /// Names in the order first met; a set holds one value number for each, 0 where it has none.
    private var names: [ByteString]
    /// How many of the names a client may give at start-up.
    private let startupCount: Int
    private var values: Interner
    private var sets: Interner
    /// The set without any value.
    public let empty: ParameterSetID

    public init(extra: [ByteString], seed: UInt64) {
        names = Self.builtIn
        for name in extra where !names.contains(where: { $0.equalsIgnoringASCIICase(name) }) {
            names.append(name)
        }
        startupCount = names.count
        let nothing = ByteString("")
        var values = Interner(seed: seed)
        _ = nothing.withView { values.hold($0) }  // number 0: "no value"
        self.values = values
        var sets = Interner(seed: seed)
        empty = ParameterSetID(number: nothing.withView { sets.hold($0) })
        self.sets = sets
    }

    // MARK: Names

    /// The place of a parameter that clients may set at start-up.
    public func startupIndex(_ name: ByteView) -> Int? {
        names[..<startupCount].firstIndex { $0.withView { $0.equalsIgnoringASCIICase(name) } }
    }

    /// The place of a parameter a server reports; a new one is followed from now on. `nil` for those that a
    /// session cannot set.
    public mutating func reportedIndex(_ name: ByteView) -> Int? {
        if let known = names.firstIndex(where: { $0.equals(name) }) { return known }
        if let known = names.firstIndex(where: { $0.withView { $0.equalsIgnoringASCIICase(name) } }) {
            names[known] = ByteString(name)
            return known
        }
        guard names.count < Self.limit, !Self.fixed.contains(where: { $0.equals(name) }) else { return nil }
        names.append(ByteString(name))
        return names.count - 1
    }

    // MARK: Sets

    /// Different sets and different values held now; an unused table holds one of each.
    public var setCount: Int { sets.count }
    public var valueCount: Int { values.count }

    public mutating func hold(again set: ParameterSetID) { sets.hold(again: set.number) }

    public mutating func letGo(_ set: ParameterSetID) {
        let bytes = sets.bytes(set.number)
        guard sets.letGo(set.number) else { return }
        for value in Self.numbers(bytes) where value != 0 { values.letGo(value) }
    }

    /// The same set with one value changed, held; the old one is let go of.
    public mutating func replacing(_ set: ParameterSetID, at index: Int, with value: ByteView)
        -> ParameterSetID
    {
        var numbers = Self.numbers(sets.bytes(set.number))
        while numbers.count <= index { numbers.append(0) }
        let old = numbers[index]
        numbers[index] = holdValue(value)
        if old == numbers[index] {
            releaseValue(old)
            return set
        }
        let new = intern(numbers)
        releaseValue(numbers[index])
        letGo(set)
        return new
    }

    /// `base` with every value that `wishes` has in place of its own, held anew; neither argument is let go
    /// of.
    public mutating func overlay(_ wishes: ParameterSetID, on base: ParameterSetID) -> ParameterSetID {
        var numbers = Self.numbers(sets.bytes(base.number))
        for (index, wish) in Self.numbers(sets.bytes(wishes.number)).enumerated() where wish != 0 {
            while numbers.count <= index { numbers.append(0) }
            numbers[index] = wish
        }
        return intern(numbers)
    }

    /// The value of one parameter, or `nil`.
    public func value(_ index: Int, in set: ParameterSetID) -> ByteString? {
        let numbers = Self.numbers(sets.bytes(set.number))
        guard index < numbers.count, numbers[index] != 0 else { return nil }
        return values.bytes(numbers[index]).unmarked
    }

    /// Parameters that both sets have with different values.
    public func differences(
        from old: ParameterSetID, to new: ParameterSetID
    ) -> [(name: ByteString, old: ByteString, new: ByteString)] {
        names.indices.compactMap { index in
            guard let before = value(index, in: old), let after = value(index, in: new), before != after
            else {
                return nil
            }
            return (names[index], before, after)
        }
    }

    /// Every parameter with a value, in order.
    public func forEach(in set: ParameterSetID, _ body: (ByteString, ByteString) -> Void) {
        for (index, number) in Self.numbers(sets.bytes(set.number)).enumerated() where number != 0 {
            body(names[index], values.bytes(number).unmarked)
        }
    }

    /// Writes one statement for each parameter that `wanted` has and `present` has otherwise. The number of
    /// statements, or `nil` when a value cannot be written safely.
    public func writeChanges(
        from present: ParameterSetID, to wanted: ParameterSetID, into sql: inout ByteBuffer
    ) -> Int? {
        let have = Self.numbers(sets.bytes(present.number))
        let conforming = value(3, in: present)?.withView { $0.equals("on") } ?? true
        var count = 0
        for (index, number) in Self.numbers(sets.bytes(wanted.number)).enumerated() where number != 0 {
            if index < have.count, have[index] == number { continue }
            let value = values.bytes(number).unmarked
            guard Self.writeSetting(names[index], value, conforming: conforming, into: &sql) else {
                return nil
            }
            count += 1
        }
        return count
    }

    /// `SET name='value';` with the value quoted so that it cannot end early: a quote byte is never part of
    /// another character in any client encoding, but a backslash may be, so values with both backslash
    /// escapes in force and bytes beyond ASCII are refused. `search_path` goes through `set_config`, which
    /// takes the list as it is.
    private static func writeSetting(
        _ name: ByteString, _ value: ByteString, conforming: Bool, into sql: inout ByteBuffer
    ) -> Bool {
        guard name.bytes.allSatisfy(\.isIdentifierByte) else { return false }
        let list = name.withView { $0.equalsIgnoringASCIICase("search_path") }
        if list {
            sql.append("SELECT pg_catalog.set_config('search_path',")
        } else {
            sql.append("SET ")
            sql.append(name)
            sql.append("=")
        }
        sql.append(0x27)
        for byte in value.bytes {
            if !conforming, byte >= 0x80 { return false }
            if byte == 0x27 || (byte == 0x5C && !conforming) { sql.append(byte) }
            sql.append(byte)
        }
        sql.append(list ? "',false);" : "';")
        return true
    }

    // MARK: Sets as bytes of numbers

    private static func numbers(_ bytes: ByteString) -> [UInt32] {
        bytes.withView { view in
            (0..<(view.count / 4)).map { view.uint32(at: $0 * 4) ?? 0 }
        }
    }

    /// Holds the set, and its values once for the set itself.
    private mutating func intern(_ numbers: [UInt32]) -> ParameterSetID {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(numbers.count * 4)
        for number in numbers {
            for shift in [24, 16, 8, 0] { bytes.append(UInt8(truncatingIfNeeded: number >> UInt32(shift))) }
        }
        let before = sets.count
        let set = ByteString(bytes).withView { sets.hold($0) }
        if sets.count > before {
            for number in numbers where number != 0 { values.hold(again: number) }
        }
        return ParameterSetID(number: set)
    }

    /// Values are kept behind a mark, so that the empty string is a value and not number 0.
    private mutating func holdValue(_ value: ByteView) -> UInt32 {
        var marked: [UInt8] = [0x3D]
        marked.append(contentsOf: value.rawBuffer)
        return ByteString(marked).withView { values.hold($0) }
    }

    private mutating func releaseValue(_ number: UInt32) {
        if number != 0 { values.letGo(number) }
    }
}

extension ByteString {
    fileprivate var unmarked: ByteString { ByteString(Array(bytes.dropFirst())) }
}

extension UInt8 {
    /// A letter, digit, underscore or dot: what names of settings are made of.
    public var isIdentifierByte: Bool {
        (0x30...0x39).contains(self) || (0x41...0x5A).contains(self) || (0x61...0x7A).contains(self)
            || self == 0x5F || self == 0x2E
    }
}
