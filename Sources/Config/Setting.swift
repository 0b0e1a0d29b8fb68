public import Primitives

/// When a changed setting counts.
public enum ReloadRule: Equatable, Sendable {
    /// At once.
    case now
    /// For connections made from then on.
    case newConnections
    /// At once, and every pool gets new servers.
    case newPools
    /// Only when the process starts.
    case restart
}

/// A text that is no value of a setting.
public struct BadValue: Error, Equatable, Sendable {
    /// What belongs there instead.
    public let expected: String
    public init(expected: String) { self.expected = expected }
}

/// One row of the settings table.
public struct Setting: Sendable {
    public let name: String
    public let reload: ReloadRule
    /// What it means, in one sentence.
    public let doc: String
    /// What belongs there, for error messages.
    public let expected: String
    /// As `SHOW CONFIG` prints it; `nil` for NULL.
    public let defaultText: ByteString?

    private let read: @Sendable (GlobalSettings) -> ByteString?
    private let complaint: @Sendable (ByteString) -> String?
    private let write: @Sendable (ByteString, inout GlobalSettings) -> Bool
    private let carry: @Sendable (GlobalSettings, inout GlobalSettings) -> Void

    /// What `SHOW CONFIG` prints as the default, when that is not simply the default value.
    enum ShownDefault {
        case printed
        case null
        case text(ByteString)
    }

    init<Value: Equatable & Sendable>(
        _ name: String, _ path: any WritableKeyPath<GlobalSettings, Value> & Sendable,
        _ codec: Codec<Value>, reload: ReloadRule = .now, shownDefault: ShownDefault = .printed, _ doc: String
    ) {
        self.name = name
        self.reload = reload
        self.doc = doc
        expected = codec.expected
        complaint = codec.complaint
        read = { codec.print($0[keyPath: path]) }
        write = { text, settings in
            guard let value = codec.parse(text) else { return false }
            settings[keyPath: path] = value
            return true
        }
        carry = { old, new in new[keyPath: path] = old[keyPath: path] }
        switch shownDefault {
        case .printed: defaultText = codec.print(GlobalSettings()[keyPath: path])
        case .null: defaultText = nil
        case .text(let text): defaultText = text
        }
    }

    public var isReloadable: Bool { reload != .restart }

    /// The value as `SHOW CONFIG` prints it; `nil` for NULL.
    public func shownText(in settings: GlobalSettings) -> ByteString? { read(settings) }

    /// The value as text; NULL is empty.
    public func text(in settings: GlobalSettings) -> ByteString { read(settings) ?? "" }

    /// Sets the value from text. Throws, and changes nothing, when the text is no value of this setting.
    public func parse(_ text: ByteString, into settings: inout GlobalSettings) throws(BadValue) {
        guard write(text, &settings) else {
            throw BadValue(expected: complaint(text).map { "\(expected) (\($0))" } ?? expected)
        }
    }

    /// Copies the value of this one setting.
    func copy(from old: GlobalSettings, into new: inout GlobalSettings) { carry(old, &new) }

    /// Whether this one setting differs.
    func differs(_ a: GlobalSettings, _ b: GlobalSettings) -> Bool {
        // The texts of times are rounded; taking over the value and comparing everything else is not.
        var copy = a
        carry(b, &copy)
        return copy != a
    }
}
