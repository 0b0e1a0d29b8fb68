import Primitives

/// Types of expressions.
enum SQLType: Sendable {
    case bool, int4, int8, numeric, text

    init(_ column: ColumnType) {
        switch column {
        case .bool: self = .bool
        case .int4: self = .int4
        case .int8: self = .int8
        case .numeric: self = .numeric
        case .text, .bytea: self = .text
        }
    }

    var column: ColumnType {
        switch self {
        case .bool: .bool
        case .int4: .int4
        case .int8: .int8
        case .numeric: .numeric
        case .text: .text
        }
    }

    /// As PostgreSQL's errors name it.
    var name: String {
        switch self {
        case .bool: "boolean"
        case .int4: "integer"
        case .int8: "bigint"
        case .numeric: "numeric"
        case .text: "text"
        }
    }

    var isNumber: Bool {
        switch self {
        case .int4, .int8, .numeric: true
        case .bool, .text: false
        }
    }

    /// The type that holds both numbers.
    func wider(_ other: SQLType) -> SQLType {
        if self == .numeric || other == .numeric { return .numeric }
        return self == .int8 || other == .int8 ? .int8 : .int4
    }

    /// Names that a cast may use.
    static func named(_ name: ByteString) -> SQLType? {
        switch name {
        case "bool", "boolean": .bool
        case "int", "int4", "integer", "smallint", "int2": .int4
        case "bigint", "int8": .int8
        case "numeric", "decimal", "float8", "float4", "float", "real": .numeric
        case "text", "varchar", "name": .text
        default: nil
        }
    }

    /// A text of this type; `nil` when it is none.
    func value(of text: ByteString) -> SQLValue? {
        switch self {
        case .text: .text(text)
        case .numeric: NumericValue(text).map { .number($0) }
        case .int4, .int8:
            NumericValue(text).flatMap { $0.shownDecimals == 0 && fits($0) ? .number($0) : nil }
        case .bool:
            switch text.lowercased {
            case "t", "true", "y", "yes", "on", "1": .bool(true)
            case "f", "false", "n", "no", "off", "0": .bool(false)
            default: nil
            }
        }
    }

    /// Whether a whole number is one of this type.
    func fits(_ number: NumericValue) -> Bool {
        guard self != .numeric else { return true }
        guard let value = number.rounded else { return false }
        return self != .int4 || Int32(exactly: value) != nil
    }
}

/// A value of an expression. Equal values are one group and one key.
enum SQLValue: Hashable, Sendable {
    case null
    case bool(Bool)
    case number(NumericValue)
    case text(ByteString)

    init(_ cell: Cell) {
        switch cell {
        case .null: self = .null
        case .bool(let value): self = .bool(value)
        case .text(let text): self = .text(text)
        case .int4(let value): self = .number(NumericValue(Int64(value)))
        case .int8(let value): self = .number(NumericValue(value))
        case .numeric(let value): self = .number(NumericValue(value))
        case .decimal(let value): self = .number(value)
        }
    }

    /// As a column of this type.
    func cell(_ type: SQLType) throws(SelectError) -> Cell {
        switch self {
        case .null: return .null
        case .bool(let value): return .bool(value)
        case .text(let text): return .text(text)
        case .number(let number):
            if type == .numeric { return .decimal(number) }
            guard let value = number.rounded else { throw SelectError("22003", "\(type.name) out of range") }
            if type == .int8 { return .int8(value) }
            guard let small = Int32(exactly: value) else {
                throw SelectError("22003", "integer out of range")
            }
            return .int4(small)
        }
    }

    /// Before, equal or behind; `nil` when one of them is NULL. Types are equal, the parser has seen to that.
    func order(_ other: SQLValue) -> Int? {
        switch (self, other) {
        case (.bool(let a), .bool(let b)): a == b ? 0 : b ? -1 : 1
        case (.number(let a), .number(let b)): a == b ? 0 : a < b ? -1 : 1
        case (.text(let a), .text(let b)): a == b ? 0 : a < b ? -1 : 1
        case (.null, _), (.bool, _), (.number, _), (.text, _): nil
        }
    }

    /// A truth value; `nil` for NULL.
    var truth: Bool? {
        if case .bool(let value) = self { return value }
        return nil
    }

    static func truth(_ value: Bool?) -> SQLValue { value.map { .bool($0) } ?? .null }

    /// As text, for `||` and casts.
    var text: ByteString? {
        switch self {
        case .null: nil
        case .bool(let value): value ? "true" : "false"
        case .number(let number): number.text
        case .text(let text): text
        }
    }
}
