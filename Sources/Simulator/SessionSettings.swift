import Primitives

/// The reported settings of one PostgreSQL session, with the transaction semantics of SET, SET LOCAL and
/// ROLLBACK.
struct SessionSettings {
    static let names: [String] = [
        "client_encoding", "DateStyle", "TimeZone", "standard_conforming_strings", "application_name",
        "IntervalStyle", "search_path",
    ]
    static let nameBytes: [Bytes] = names.map { Array($0.utf8) }
    static let initial: [Bytes] = ["UTF8", "ISO, MDY", "UTC", "on", "", "postgres", "\"$user\", public"].map {
        Array($0.utf8)
    }

    private(set) var values = SessionSettings.initial
    /// What COMMIT makes of them: without what SET LOCAL did.
    private var committed = SessionSettings.initial
    /// What ROLLBACK makes of them; `nil` outside a transaction.
    private var saved: [Bytes]?
    private var defaults = SessionSettings.initial
    private var reported: [Bytes] = []

    static func index(_ name: Bytes) -> Int? {
        nameBytes.firstIndex {
            $0.count == name.count && zip($0, name).allSatisfy { $0.asciiLowercased == $1.asciiLowercased }
        }
    }

    /// What PostgreSQL makes of a spelling; `nil` when it refuses the value.
    static func canonical(_ value: Bytes, at index: Int) -> Bytes? {
        if value.starts(with: Array("bad".utf8)) && index != 4 { return nil }
        guard index == 1 else { return value }
        return Array(value.text.uppercased().utf8)
    }

    /// A value of the StartupMessage, which is also what RESET goes back to.
    mutating func start(_ name: Bytes, _ value: Bytes) {
        guard let index = Self.index(name), let value = Self.canonical(value, at: index) else { return }
        values[index] = value
        committed[index] = value
        defaults[index] = value
    }

    var isInTransaction: Bool { saved != nil }

    mutating func beginIfNeeded() { if saved == nil { saved = committed } }

    mutating func set(_ index: Int, _ value: Bytes, isLocal: Bool) {
        values[index] = value
        if !isLocal { committed[index] = value }
    }

    mutating func commit() {
        values = committed
        saved = nil
    }

    mutating func rollback() {
        if let saved { committed = saved }
        values = committed
        saved = nil
    }

    /// ROLLBACK TO: the values of then; what has been told stays told.
    mutating func goBack(to earlier: SessionSettings) {
        values = earlier.values
        committed = earlier.committed
    }

    mutating func reset() {
        values = defaults
        committed = defaults
    }

    /// ParameterStatus for everything that has changed since the last report.
    mutating func report(into output: inout Bytes) {
        if reported == values { return }
        for index in values.indices where reported.isEmpty || reported[index] != values[index] {
            output.message("S") {
                $0.append(cString: Self.nameBytes[index])
                $0.append(cString: values[index])
            }
        }
        reported = values
    }
}
