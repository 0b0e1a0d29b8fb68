import Primitives
import Session

/// Reads `SELECT … FROM one table`: the tables are those of SHOW, by their second word.
///
/// It goes through the tokens once, from front to back, and makes programs of the expressions while it does.
/// `+Expression` has what stands between the keywords.
struct SelectParser {
    private var tokens: [SQLToken]
    private var index = 0
    var steps: [SelectStep] = []
    var stepCount = 0
    var depth = 0
    var aggregates: [SelectAggregate] = []
    /// By number, from 0; `nil` while nothing says what it is.
    var parameters: [SQLType?]
    let allowsParameters: Bool
    var allowsAggregates = true
    private(set) var tableName: ByteString?
    private(set) var tableAlias: ByteString?
    private(set) var headers: [ColumnHeader] = []

    /// Words that can be no names of columns.
    static let reserved: Set<ByteString> = [
        "select", "from", "where", "group", "having", "order", "limit", "offset", "and", "or", "not", "in",
        "is",
        "like", "ilike", "between", "as", "distinct", "all", "union", "except", "intersect", "join", "on",
        "asc",
        "desc", "for", "fetch", "case", "when", "then", "else", "end", "any", "some", "into", "using",
        "window",
        "with",
    ]

    /// `declared` are the types that Parse gave the parameters; in a simple query there are none.
    static func read(
        _ text: ByteString, declared: [SQLType?] = [], allowsParameters: Bool = false
    ) throws(SelectError) -> SelectStatement {
        let tokens = try SQLLexer.tokens(of: text)
        var parser = SelectParser(tokens: tokens, parameters: declared, allowsParameters: allowsParameters)
        return try parser.statement()
    }

    private init(tokens: [SQLToken], parameters: [SQLType?], allowsParameters: Bool) {
        self.tokens = tokens
        self.parameters = parameters
        self.allowsParameters = allowsParameters
    }

    // MARK: Tokens

    /// The last token is the end, and nobody steps over it.
    var token: SQLToken { tokens[index] }
    var next: SQLToken { tokens[min(index + 1, tokens.count - 1)] }

    mutating func advance() { index = min(index + 1, tokens.count - 1) }

    mutating func take(_ symbol: SQLToken.StaticSymbol) -> Bool {
        guard token.kind == .symbol(symbol) else { return false }
        advance()
        return true
    }

    mutating func take(word: ByteString) -> Bool {
        guard token.isWord(word) else { return false }
        advance()
        return true
    }

    mutating func demand(_ symbol: SQLToken.StaticSymbol) throws(SelectError) {
        guard take(symbol) else { throw .syntax(token) }
    }

    mutating func demand(word: ByteString) throws(SelectError) {
        guard take(word: word) else { throw .syntax(token) }
    }

    /// A name, quoted or not; `nil` for anything else.
    mutating func takeName() -> ByteString? {
        switch token.kind {
        case .word(let word) where !Self.reserved.contains(word):
            advance()
            return word
        case .quoted(let name):
            advance()
            return name
        case .word, .number, .string, .parameter, .symbol, .end: return nil
        }
    }

    // MARK: The statement

    private mutating func statement() throws(SelectError) -> SelectStatement {
        try demand(word: "select")
        try findTable()
        var select = SelectStatement(table: table)
        select.isDistinct = take(word: "distinct")
        if !select.isDistinct { _ = take(word: "all") }
        try items(&select)
        if take(word: "from") { try from() }
        allowsAggregates = false
        if take(word: "where") { select.filter = try condition("WHERE") }
        if take(word: "group") { try groups(&select) }
        allowsAggregates = true
        if take(word: "having") {
            select.having = try condition("HAVING")
            select.isGrouped = true
        }
        if take(word: "order") { try order(&select) }
        try window(&select)
        _ = take(.semicolon)
        guard token.kind == .end else { throw .syntax(token) }
        select.aggregates = aggregates
        if !aggregates.isEmpty { select.isGrouped = true }
        select.parameters = parameters.map { $0 ?? .text }
        try checkGroups(select)
        return select
    }

    private var table: (any ShowCommand.Type)?

    /// Columns are known before they are read: FROM stands behind them, so it is looked for first. A FROM
    /// inside parentheses would belong to something else.
    private mutating func findTable() throws(SelectError) {
        let start = index
        defer { index = start }
        var open = 0
        while token.kind != .end {
            if token.kind == .symbol(.open) { open += 1 }
            if token.kind == .symbol(.close) { open -= 1 }
            if open == 0, take(word: "from") { return try from() }
            advance()
        }
    }

    private mutating func from() throws(SelectError) {
        let start = token
        guard let name = takeName() else { throw .syntax(start) }
        if token.kind == .symbol(.dot) {
            let schema = name.lossyText
            advance()
            let inner = takeName()?.lossyText ?? ""
            throw SelectError(
                "42P01", "relation \"\(schema).\(inner)\" does not exist", at: start.place, hint: Self.tables)
        }
        let words = ByteString("SHOW ").appending(name)
        guard
            let show = CommandTable.shows.first(where: { ByteString($0.words).equalsIgnoringASCIICase(words) }
            )
        else {
            throw SelectError(
                "42P01", "relation \"\(name.lossyText)\" does not exist", at: start.place, hint: Self.tables)
        }
        table = show
        headers = show.headers
        tableName = name
        tableAlias = name
        if take(word: "as") {
            guard let alias = takeName() else { throw .syntax(token) }
            tableAlias = alias
        } else if let alias = takeName() {
            tableAlias = alias
        }
    }

    private static let tables = ByteString(
        "The tables are those of SHOW: "
            + CommandTable.shows.map { $0.words.dropFirst(5).lowercased() }.joined(separator: ", ") + ".")

    private mutating func items(_ select: inout SelectStatement) throws(SelectError) {
        // PostgreSQL allows an empty list; a comma or the end of the text right here is more likely a slip.
        repeat {
            if token.kind == .symbol(.times) || isStarOfTable {
                try star(&select)
            } else {
                try item(&select)
            }
            guard select.items.count <= Limits.selectItems else { throw .tooDeep }
        } while take(.comma)
    }

    private var isStarOfTable: Bool {
        guard index + 2 < tokens.count else { return false }
        return next.kind == .symbol(.dot) && tokens[index + 2].kind == .symbol(.times)
    }

    private mutating func star(_ select: inout SelectStatement) throws(SelectError) {
        let start = token
        if isStarOfTable {
            guard let name = takeName(), name == tableName || name == tableAlias else {
                throw SelectError(
                    "42P01", "missing FROM-clause entry for table \"\(start.text.lossyText)\"",
                    at: start.place)
            }
            advance()
        }
        advance()
        guard table != nil else {
            throw SelectError("42601", "SELECT * with no tables specified is not valid", at: start.place)
        }
        for (place, header) in headers.enumerated() {
            let program = SelectProgram(steps: [.column(place)], type: SQLType(header.type))
            select.items.append(.init(name: header.name, program: program, place: start.place))
        }
    }

    private mutating func item(_ select: inout SelectStatement) throws(SelectError) {
        let start = token
        let program = try program()
        var name = defaultName(program, start)
        if take(word: "as") {
            // Behind AS any word can be a name.
            if case .word(let word) = token.kind {
                advance()
                name = word.lossyText
            } else if let quoted = takeName() {
                name = quoted.lossyText
            } else {
                throw .syntax(token)
            }
        } else if let alias = takeName() {
            name = alias.lossyText
        }
        select.items.append(.init(name: name, program: program, place: start.place))
    }

    /// The column's or function's name, or what PostgreSQL calls a column that has none.
    private func defaultName(_ program: SelectProgram, _ start: SQLToken) -> String {
        switch program.steps.last {
        case .column(let place): return headers[place].name
        case .aggregate(let place): return aggregates[place].kind.rawValue
        case .call(let function, _): return function.rawValue
        case .fact(let fact):
            switch fact {
            case .version: return "version"
            case .user: return start.text.lossyText.lowercased()
            case .database: return "current_database"
            case .schema: return "current_schema"
            case .isInRecovery: return "pg_is_in_recovery"
            }
        case .constant, .parameter, .negate, .arithmetic, .concatenate, .compare, .and, .or, .not, .like,
            .isAmong, .isNull, .isTruth, .cast, nil:
            return "?column?"
        }
    }

    // MARK: GROUP BY, ORDER BY, LIMIT

    private mutating func groups(_ select: inout SelectStatement) throws(SelectError) {
        try demand(word: "by")
        select.isGrouped = true
        repeat {
            let start = token
            let program = try reference(select)
            guard program.steps.count == 1, case .column(let column) = program.steps[0] else {
                throw SelectError("0A000", "GROUP BY takes columns only", at: start.place)
            }
            select.groups.append(column)
        } while take(.comma)
    }

    /// An item by its number or its name, when the next token is that and nothing else.
    private mutating func itemReference(_ select: SelectStatement) throws(SelectError) -> SelectProgram? {
        let start = token
        let isAlone: Bool
        switch next.kind {
        case .symbol(.comma), .symbol(.semicolon), .symbol(.close), .end: isAlone = true
        case .word(let word): isAlone = Self.reserved.contains(word) || word == "nulls"
        case .symbol, .number, .string, .quoted, .parameter: isAlone = false
        }
        guard isAlone else { return nil }
        if case .number(let text) = start.kind {
            guard let number = Int(text.lossyText), number >= 1, number <= select.items.count else {
                throw SelectError(
                    "42P10", "position \(text.lossyText) is not in select list", at: start.place)
            }
            advance()
            return select.items[number - 1].program
        }
        let name: ByteString
        switch start.kind {
        case .word(let word): name = word
        case .quoted(let quoted): name = quoted
        case .number, .string, .parameter, .symbol, .end: return nil
        }
        guard let item = select.items.first(where: { ByteString($0.name) == name }) else { return nil }
        advance()
        return item.program
    }

    private mutating func reference(_ select: SelectStatement) throws(SelectError) -> SelectProgram {
        if let item = try itemReference(select) { return item }
        return try program()
    }

    private mutating func order(_ select: inout SelectStatement) throws(SelectError) {
        try demand(word: "by")
        repeat {
            let program = try reference(select)
            var isDescending = false
            if take(word: "desc") { isDescending = true } else { _ = take(word: "asc") }
            // As in PostgreSQL, NULL is larger than everything.
            var nullsFirst = isDescending
            if take(word: "nulls") {
                if take(word: "first") {
                    nullsFirst = true
                } else {
                    try demand(word: "last")
                    nullsFirst = false
                }
            }
            select.order.append(
                .init(program: program, isDescending: isDescending, nullsFirst: nullsFirst))
        } while take(.comma)
    }

    private mutating func window(_ select: inout SelectStatement) throws(SelectError) {
        allowsAggregates = false
        while true {
            if select.limit == nil, take(word: "limit") {
                if take(word: "all") { continue }
                select.limit = try count("LIMIT")
            } else if select.offset == nil, take(word: "offset") {
                select.offset = try count("OFFSET")
                if !take(word: "rows") { _ = take(word: "row") }
            } else {
                return
            }
        }
    }

    private mutating func count(_ clause: String) throws(SelectError) -> SelectProgram {
        let start = token
        let program = try program(expected: .int8)
        guard program.columns.isEmpty else {
            throw SelectError("42P10", "argument of \(clause) must not contain variables", at: start.place)
        }
        guard program.type.isNumber else {
            throw SelectError(
                "42804", "argument of \(clause) must be type bigint, not type \(program.type.name)",
                at: start.place)
        }
        return program
    }

    private func checkGroups(_ select: SelectStatement) throws(SelectError) {
        guard select.isGrouped else { return }
        func check(_ program: SelectProgram?, _ place: Int?) throws(SelectError) {
            guard let column = program?.columns.first(where: { !select.groups.contains($0) }) else { return }
            throw SelectError(
                "42803",
                "column \"\(headers[column].name)\" must appear in the GROUP BY clause "
                    + "or be used in an aggregate function", at: place)
        }
        for item in select.items { try check(item.program, item.place) }
        try check(select.having, nil)
        for key in select.order { try check(key.program, nil) }
    }
}
