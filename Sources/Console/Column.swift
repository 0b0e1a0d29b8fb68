import Primitives
import Session
import Wire

/// Types of columns, by PostgreSQL's numbers (pg_type.dat).
enum ColumnType: UInt32 {
    case bool = 16
    case bytea = 17
    case text = 25
    case int4 = 23
    case int8 = 20
    case numeric = 1700

    /// `typlen`: bytes of a value, -1 when they vary.
    var size: Int16 {
        switch self {
        case .text, .numeric, .bytea: -1
        case .bool: 1
        case .int4: 4
        case .int8: 8
        }
    }

    var name: String {
        switch self {
        case .bool: "bool"
        case .bytea: "bytea"
        case .text: "text"
        case .int4: "int4"
        case .int8: "int8"
        case .numeric: "numeric"
        }
    }
}

/// One value of a row.
enum Cell: Equatable, Sendable {
    case null
    case text(ByteString)
    case int4(Int32)
    case int8(Int64)
    case numeric(UInt64)
    case bool(Bool)
    case decimal(NumericValue)
}

/// What is known of a column before there are rows.
struct ColumnHeader: Equatable, Sendable {
    let name: String
    let type: ColumnType
    let doc: String
}

/// One column of a SHOW: name, type, meaning and value in one row, so that they cannot disagree.
struct Column<Row>: Sendable {
    let header: ColumnHeader
    let value: @Sendable (Row) -> Cell

    /// `nil` is NULL.
    static func text(
        _ name: String, _ doc: String, _ value: @escaping @Sendable (Row) -> ByteString?
    ) -> Column {
        Column(header: ColumnHeader(name: name, type: .text, doc: doc)) {
            value($0).map { .text($0) } ?? .null
        }
    }

    /// In PostgreSQL's hexadecimal form; `nil` is NULL.
    static func bytea(
        _ name: String, _ doc: String, _ value: @escaping @Sendable (Row) -> ByteString?
    ) -> Column {
        Column(header: ColumnHeader(name: name, type: .bytea, doc: doc)) {
            value($0).map { .text(ByteString("\\x" + $0.withView { $0.hexadecimal })) } ?? .null
        }
    }

    /// What does not fit is the largest number that does.
    static func int4(_ name: String, _ doc: String, _ value: @escaping @Sendable (Row) -> Int) -> Column {
        Column(header: ColumnHeader(name: name, type: .int4, doc: doc)) { .int4(Int32(clamping: value($0))) }
    }

    static func int8(_ name: String, _ doc: String, _ value: @escaping @Sendable (Row) -> Int) -> Column {
        Column(header: ColumnHeader(name: name, type: .int8, doc: doc)) { .int8(Int64(clamping: value($0))) }
    }

    static func numeric(
        _ name: String, _ doc: String, _ value: @escaping @Sendable (Row) -> UInt64
    ) -> Column {
        Column(header: ColumnHeader(name: name, type: .numeric, doc: doc)) { .numeric(value($0)) }
    }
}

/// How the values of the columns are asked for (manual: "Bind", result-column format codes).
struct ResultFormats: Equatable, Sendable {
    static let text = ResultFormats(isBinary: [])
    /// None means text for all, one is for all.
    let isBinary: [Bool]

    subscript(column: Int) -> Bool {
        if isBinary.count == 1 { return isBinary[0] }
        return column < isBinary.count && isBinary[column]
    }
}

extension ByteBuffer {
    /// manual: "RowDescription"
    mutating func rowDescription(_ columns: [ColumnHeader], _ formats: ResultFormats) {
        message(.rowDescription) {
            $0.append(uint16: UInt16(clamping: columns.count))
            for (index, column) in columns.enumerated() {
                $0.append(column.name)
                $0.append(0)
                $0.append(uint32: 0)  // no table
                $0.append(uint16: 0)  // no column of a table
                $0.append(uint32: column.type.rawValue)
                $0.append(uint16: UInt16(bitPattern: column.type.size))
                $0.append(uint32: .max)  // no type modifier
                $0.append(uint16: formats[index] ? 1 : 0)
            }
        }
    }

    /// manual: "DataRow"
    mutating func dataRow(_ cells: [Cell], _ formats: ResultFormats) {
        message(.dataRow) {
            $0.append(uint16: UInt16(clamping: cells.count))
            for (index, cell) in cells.enumerated() { $0.append(cell, isBinary: formats[index]) }
        }
    }

    /// The value behind its length; NULL is the length -1.
    private mutating func append(_ cell: Cell, isBinary: Bool) {
        if cell == .null { return append(uint32: .max) }
        let start = count
        append(uint32: 0)
        switch cell {
        case .null: break
        case .text(let text): append(text)
        case .int4(let value):
            if isBinary { append(uint32: UInt32(bitPattern: value)) } else { append(decimal: value) }
        case .int8(let value):
            if isBinary { append(uint64: UInt64(bitPattern: value)) } else { append(decimal: value) }
        case .numeric(let value):
            if isBinary { append(binaryNumeric: NumericValue(value)) } else { append(decimal: value) }
        case .bool(let value):
            if isBinary { append(value ? 1 : 0) } else { append(value ? 0x74 : 0x66) }
        case .decimal(let value):
            if isBinary { append(binaryNumeric: value) } else { append(value.text) }
        }
        set(uint32: UInt32(truncatingIfNeeded: count - start - 4), at: start)
    }

    private mutating func append(uint64 value: UInt64) {
        append(uint32: UInt32(truncatingIfNeeded: value >> 32))
        append(uint32: UInt32(truncatingIfNeeded: value))
    }

    /// As PostgreSQL's `numeric_send` writes it: how many digits to the base 10 000, the weight of the first,
    /// sign, digits behind the point, and the digits without zeros at the end.
    private mutating func append(binaryNumeric value: NumericValue) {
        let (digits, weight) = value.base10000
        append(uint16: UInt16(clamping: digits.count))
        append(uint16: UInt16(bitPattern: Int16(clamping: weight)))
        append(uint16: value.isNegative ? 0x4000 : 0)
        append(uint16: UInt16(clamping: value.shownDecimals))
        for digit in digits { append(uint16: digit) }
    }
}
