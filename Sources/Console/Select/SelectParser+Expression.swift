import Primitives

/// Expressions, by falling precedence of their signs (manual: "Operator Precedence"). The parser recurses for
/// parentheses and arguments only, and counts how deep it is.
extension SelectParser {
    /// What an expression left: its type, or none yet for a bare text or parameter, which take the type of
    /// what they stand beside.
    struct Operand {
        var type: SQLType?
        /// The step of the bare text or parameter.
        var openStep: Int?
        let place: Int
    }

    /// An expression as a program of its own; a bare text is text.
    mutating func program(expected: SQLType? = nil) throws(SelectError) -> SelectProgram {
        let outer = steps
        steps = []
        var operand = try expression()
        let type = try settle(&operand, expected ?? .text)
        let program = SelectProgram(steps: steps, type: type)
        steps = outer
        return program
    }

    /// A program whose value is a truth value, for WHERE and HAVING.
    mutating func condition(_ clause: String) throws(SelectError) -> SelectProgram {
        let place = token.place
        let program = try program(expected: .bool)
        guard program.type == .bool else {
            throw SelectError(
                "42804", "argument of \(clause) must be type boolean, not type \(program.type.name)",
                at: place)
        }
        return program
    }

    private mutating func emit(_ step: SelectStep) throws(SelectError) {
        stepCount += 1
        guard stepCount <= Limits.selectSteps else { throw SelectError("54001", "SELECT is too complex") }
        steps.append(step)
    }

    // MARK: Levels

    mutating func expression() throws(SelectError) -> Operand {
        depth += 1
        defer { depth -= 1 }
        guard depth <= Limits.selectDepth else { throw .tooDeep }
        var first = try conjunction()
        while take(word: "or") {
            var second = try conjunction()
            try demandTruth(&first, "OR")
            try demandTruth(&second, "OR")
            try emit(.or)
        }
        return first
    }

    private mutating func conjunction() throws(SelectError) -> Operand {
        var first = try negation()
        while take(word: "and") {
            var second = try negation()
            try demandTruth(&first, "AND")
            try demandTruth(&second, "AND")
            try emit(.and)
        }
        return first
    }

    private mutating func negation() throws(SelectError) -> Operand {
        var count = 0
        while take(word: "not") { count += 1 }
        var operand = try predicate()
        if count > 0 { try demandTruth(&operand, "NOT") }
        for _ in 0..<count { try emit(.not) }
        return operand
    }

    private mutating func demandTruth(_ operand: inout Operand, _ word: String) throws(SelectError) {
        let type = try settle(&operand, .bool)
        guard type == .bool else {
            throw SelectError(
                "42804", "argument of \(word) must be type boolean, not type \(type.name)", at: operand.place)
        }
    }

    private mutating func predicate() throws(SelectError) -> Operand {
        var first = try concatenation()
        while true {
            let sign = token
            if let comparison = takeComparison() {
                var second = try concatenation()
                try match(&first, &second, sign)
                try emit(.compare(comparison))
            } else if take(word: "is") {
                try test(&first)
            } else {
                let isNegated = token.isWord("not") && isPredicateWord(next)
                guard isNegated || isPredicateWord(token) else { return first }
                if isNegated { advance() }
                try worded(&first)
                if isNegated { try emit(.not) }
            }
            first = Operand(type: .bool, openStep: nil, place: first.place)
        }
    }

    private func isPredicateWord(_ token: SQLToken) -> Bool {
        token.isWord("in") || token.isWord("like") || token.isWord("ilike") || token.isWord("between")
    }

    private mutating func takeComparison() -> SelectStep.Comparison? {
        guard case .symbol(let symbol) = token.kind else { return nil }
        let comparison: SelectStep.Comparison
        switch symbol {
        case .equal: comparison = .equal
        case .notEqual, .bangEqual: comparison = .notEqual
        case .less: comparison = .less
        case .lessOrEqual: comparison = .lessOrEqual
        case .greater: comparison = .greater
        case .greaterOrEqual: comparison = .greaterOrEqual
        case .cast, .concatenation, .plus, .minus, .times, .over, .percent, .open, .close, .comma, .dot,
            .semicolon:
            return nil
        }
        advance()
        return comparison
    }

    /// Behind `x IS`.
    private mutating func test(_ first: inout Operand) throws(SelectError) {
        let isNegated = take(word: "not")
        if take(word: "null") {
            _ = try settle(&first, .text)
            try emit(.isNull)
        } else if take(word: "true") {
            try demandTruth(&first, "IS TRUE")
            try emit(.isTruth(true))
        } else if take(word: "false") {
            try demandTruth(&first, "IS FALSE")
            try emit(.isTruth(false))
        } else {
            throw .syntax(token)
        }
        if isNegated { try emit(.not) }
    }

    /// Behind `x`: IN, LIKE, ILIKE, BETWEEN.
    private mutating func worded(_ first: inout Operand) throws(SelectError) {
        let sign = token
        advance()
        if sign.isWord("in") {
            try demand(.open)
            var count = 0
            repeat {
                var value = try concatenation()
                try match(&first, &value, sign)
                count += 1
            } while take(.comma)
            try demand(.close)
            try emit(.isAmong(count))
        } else if sign.isWord("between") {
            // x BETWEEN a AND b is x >= a AND x <= b; x stands on the stack once, so its steps are repeated.
            let range = firstStep(of: first)..<steps.count
            var low = try concatenation()
            try match(&first, &low, sign)
            try emit(.compare(.greaterOrEqual))
            try demand(word: "and")
            for step in Array(steps[range]) { try emit(step) }
            var again = Operand(type: first.type, openStep: nil, place: first.place)
            var high = try concatenation()
            try match(&again, &high, sign)
            try emit(.compare(.lessOrEqual))
            try emit(.and)
        } else {
            var pattern = try concatenation()
            try match(&first, &pattern, sign)
            guard first.type == .text else { throw noOperator(first.type, sign, pattern.type) }
            try emit(.like(ignoringCase: sign.isWord("ilike")))
        }
    }

    private mutating func concatenation() throws(SelectError) -> Operand {
        var first = try sum()
        while take(.concatenation) {
            var second = try sum()
            _ = try settle(&first, .text)
            _ = try settle(&second, .text)
            try emit(.concatenate)
            first = Operand(type: .text, openStep: nil, place: first.place)
        }
        return first
    }

    private mutating func sum() throws(SelectError) -> Operand {
        var first = try product()
        while true {
            let sign = token
            if take(.plus) {
                var second = try product()
                try calculate(.plus, &first, &second, sign)
            } else if take(.minus) {
                var second = try product()
                try calculate(.minus, &first, &second, sign)
            } else {
                return first
            }
        }
    }

    private mutating func product() throws(SelectError) -> Operand {
        var first = try signed()
        while true {
            let sign = token
            let arithmetic: SelectStep.Arithmetic
            if take(.times) {
                arithmetic = .times
            } else if take(.over) {
                arithmetic = .over
            } else if take(.percent) {
                arithmetic = .remainder
            } else {
                return first
            }
            var second = try signed()
            try calculate(arithmetic, &first, &second, sign)
        }
    }

    private mutating func calculate(
        _ arithmetic: SelectStep.Arithmetic, _ first: inout Operand, _ second: inout Operand, _ sign: SQLToken
    ) throws(SelectError) {
        if first.type == nil, second.type == nil { _ = try settle(&first, .int4) }
        try match(&first, &second, sign)
        guard let a = first.type, let b = second.type, a.isNumber, b.isNumber else {
            throw noOperator(first.type, sign, second.type)
        }
        let type = a.wider(b)
        if case .over = arithmetic, type != .numeric {
            try emit(.arithmetic(.wholeOver))
        } else {
            try emit(.arithmetic(arithmetic))
        }
        first = Operand(type: type, openStep: nil, place: first.place)
    }

    private mutating func signed() throws(SelectError) -> Operand {
        var isNegative = false
        let sign = token
        while true {
            if take(.minus) { isNegative.toggle() } else if !take(.plus) { break }
        }
        var operand = try casted()
        guard isNegative else { return operand }
        let type = try settle(&operand, .int4)
        guard type.isNumber else { throw noOperator(nil, sign, type) }
        try emit(.negate)
        return Operand(type: type, openStep: nil, place: sign.place)
    }

    private mutating func casted() throws(SelectError) -> Operand {
        var operand = try primary()
        while take(.cast) { try cast(&operand, to: try typeName()) }
        return operand
    }

    private mutating func cast(_ operand: inout Operand, to type: SQLType) throws(SelectError) {
        if operand.type == nil {
            _ = try settle(&operand, type)
        } else {
            try emit(.cast(type))
        }
        operand = Operand(type: type, openStep: nil, place: operand.place)
    }

    private mutating func typeName() throws(SelectError) -> SQLType {
        let name = token
        guard case .word(let word) = name.kind else { throw .syntax(name) }
        advance()
        guard let type = SQLType.named(word) else {
            throw SelectError("42704", "type \"\(word.lossyText)\" does not exist", at: name.place)
        }
        return type
    }

    // MARK: Primaries

    private mutating func primary() throws(SelectError) -> Operand {
        let start = token
        switch start.kind {
        case .number(let text):
            advance()
            guard let number = NumericValue(text) else {
                throw SelectError("22003", "value out of range", at: start.place)
            }
            try emit(.constant(.number(number)))
            let isWhole = number.shownDecimals == 0
            let type: SQLType =
                isWhole && SQLType.int4.fits(number)
                ? .int4 : isWhole && SQLType.int8.fits(number) ? .int8 : .numeric
            return Operand(type: type, openStep: nil, place: start.place)
        case .string(let text):
            advance()
            try emit(.constant(.text(text)))
            return Operand(type: nil, openStep: steps.count - 1, place: start.place)
        case .parameter(let number):
            advance()
            return try parameter(number, start)
        case .symbol(.open):
            advance()
            let operand = try expression()
            try demand(.close)
            return operand
        case .word(let word):
            return try named(word, start)
        case .quoted:
            return try column()
        case .symbol, .end:
            throw .syntax(start)
        }
    }

    private mutating func parameter(_ number: Int, _ start: SQLToken) throws(SelectError) -> Operand {
        guard number > 0, number <= Limits.selectParameters, allowsParameters else {
            throw SelectError("42P02", "there is no parameter $\(number)", at: start.place)
        }
        while parameters.count < number { parameters.append(nil) }
        try emit(.parameter(number - 1))
        let type = parameters[number - 1]
        return Operand(type: type, openStep: type == nil ? steps.count - 1 : nil, place: start.place)
    }

    private mutating func named(_ word: ByteString, _ start: SQLToken) throws(SelectError) -> Operand {
        switch word {
        case "true", "false":
            advance()
            try emit(.constant(.bool(word == "true")))
            return Operand(type: .bool, openStep: nil, place: start.place)
        case "null":
            advance()
            try emit(.constant(.null))
            return Operand(type: nil, openStep: steps.count - 1, place: start.place)
        case "cast":
            advance()
            try demand(.open)
            var operand = try expression()
            try demand(word: "as")
            try cast(&operand, to: try typeName())
            try demand(.close)
            return operand
        case "current_user", "session_user", "user", "current_role":
            if next.kind != .symbol(.open), next.kind != .symbol(.dot),
                columnPlace(word) == nil || word != "user"
            {
                advance()
                return try fact(.user, .text, start)
            }
        case "current_catalog" where next.kind != .symbol(.open):
            advance()
            return try fact(.database, .text, start)
        default: break
        }
        if Self.reserved.contains(word) { throw .syntax(start) }
        if next.kind == .symbol(.open) { return try call(word, start) }
        if word == "pg_catalog", next.kind == .symbol(.dot) {
            advance()
            advance()
            guard case .word(let name) = token.kind, next.kind == .symbol(.open) else { throw .syntax(token) }
            return try call(name, token)
        }
        return try column()
    }

    private mutating func fact(_ fact: SelectFact, _ type: SQLType, _ start: SQLToken) throws(SelectError)
        -> Operand
    {
        try emit(.fact(fact))
        return Operand(type: type, openStep: nil, place: start.place)
    }

    private mutating func column() throws(SelectError) -> Operand {
        let start = token
        guard var name = takeName() else { throw .syntax(start) }
        if take(.dot) {
            guard name == tableName || name == tableAlias else {
                throw SelectError(
                    "42P01", "missing FROM-clause entry for table \"\(name.lossyText)\"", at: start.place)
            }
            guard let inner = takeName() else { throw .syntax(token) }
            name = inner
        }
        guard let place = columnPlace(name) else {
            throw SelectError("42703", "column \"\(name.lossyText)\" does not exist", at: start.place)
        }
        try emit(.column(place))
        return Operand(type: SQLType(headers[place].type), openStep: nil, place: start.place)
    }

    func columnPlace(_ name: ByteString) -> Int? { headers.firstIndex { ByteString($0.name) == name } }

    private mutating func call(_ name: ByteString, _ start: SQLToken) throws(SelectError) -> Operand {
        advance()
        try demand(.open)
        if let kind = SelectAggregate.Kind.allCases.first(where: { ByteString($0.rawValue) == name }) {
            return try aggregate(kind, start)
        }
        let facts: [(ByteString, SelectFact, SQLType)] = [
            ("version", .version, .text), ("current_database", .database, .text),
            ("current_schema", .schema, .text), ("pg_is_in_recovery", .isInRecovery, .bool),
        ]
        if let known = facts.first(where: { $0.0 == name }) {
            try demand(.close)
            return try fact(known.1, known.2, start)
        }
        var arguments: [Operand] = []
        if !take(.close) {
            repeat { arguments.append(try expression()) } while take(.comma)
            try demand(.close)
        }
        return try function(name, &arguments, start)
    }

    private mutating func function(
        _ name: ByteString, _ arguments: inout [Operand], _ start: SQLToken
    ) throws(SelectError) -> Operand {
        let unknown = SelectError(
            "42883",
            "function \(name.lossyText)(...) does not exist with \(arguments.count) arguments of these types",
            at: start.place)
        guard let known = SelectFunction.allCases.first(where: { ByteString($0.rawValue) == name }) else {
            throw unknown
        }
        let type: SQLType
        switch known {
        case .lower, .upper, .length:
            guard arguments.count == 1, try settle(&arguments[0], .text) == .text else { throw unknown }
            type = known == .length ? .int4 : .text
        case .abs:
            guard arguments.count == 1 else { throw unknown }
            type = try settle(&arguments[0], .int4)
            guard type.isNumber else { throw unknown }
        case .set_config:
            guard arguments.count == 3 else { throw unknown }
            _ = try settle(&arguments[0], .text)
            type = try settle(&arguments[1], .text)
            guard try settle(&arguments[2], .bool) == .bool, type == .text else { throw unknown }
        case .coalesce:
            guard !arguments.isEmpty else { throw unknown }
            var widest = arguments.lazy.compactMap(\.type).first ?? .text
            for place in arguments.indices {
                let found = try settle(&arguments[place], widest)
                guard found == widest || found.isNumber && widest.isNumber else { throw unknown }
                if found.isNumber { widest = widest.wider(found) }
            }
            type = widest
        }
        try emit(.call(known, arguments.count))
        return Operand(type: type, openStep: nil, place: start.place)
    }

    private mutating func aggregate(_ kind: SelectAggregate.Kind, _ start: SQLToken) throws(SelectError)
        -> Operand
    {
        guard allowsAggregates else {
            throw SelectError("42803", "aggregate functions are not allowed here", at: start.place)
        }
        guard aggregates.count < Limits.selectAggregates else { throw .tooDeep }
        var argument: SelectProgram?
        var isDistinct = false
        if kind == .count, take(.times) {
            argument = nil
        } else {
            isDistinct = take(word: "distinct")
            allowsAggregates = false
            defer { allowsAggregates = true }
            argument = try program()
        }
        try demand(.close)
        let type: SQLType
        switch (kind, argument?.type) {
        case (.count, _): type = .int8
        case (.sum, .int4): type = .int8
        case (.sum, .int8), (.sum, .numeric), (.avg, .int4), (.avg, .int8), (.avg, .numeric): type = .numeric
        case (.min, let argument?), (.max, let argument?): type = argument
        case (.sum, let argument), (.avg, let argument):
            let name = argument?.name ?? ""
            throw SelectError("42883", "function \(kind.rawValue)(\(name)) does not exist", at: start.place)
        case (.min, nil), (.max, nil): throw .syntax(start)
        }
        aggregates.append(SelectAggregate(kind: kind, argument: argument, isDistinct: isDistinct))
        try emit(.aggregate(aggregates.count - 1))
        return Operand(type: type, openStep: nil, place: start.place)
    }

    // MARK: Types

    /// The type of an operand; a bare text or parameter takes the wanted one.
    mutating func settle(_ operand: inout Operand, _ wanted: SQLType) throws(SelectError) -> SQLType {
        if let type = operand.type { return type }
        operand.type = wanted
        guard let place = operand.openStep, place < steps.count else { return wanted }
        operand.openStep = nil
        switch steps[place] {
        case .parameter(let number):
            // The same parameter may have taken another type meanwhile.
            if let type = parameters[number] {
                operand.type = type
                return type
            }
            parameters[number] = wanted
        case .constant(.text(let text)):
            guard let value = wanted.value(of: text) else {
                throw SelectError(
                    "22P02", "invalid input syntax for type \(wanted.name): \"\(text.lossyText)\"",
                    at: operand.place)
            }
            steps[place] = .constant(value)
        case .constant, .column, .aggregate, .fact, .negate, .arithmetic, .concatenate, .compare, .and, .or,
            .not,
            .like, .isAmong, .isNull, .isTruth, .cast, .call:
            break
        }
        return wanted
    }

    /// Both of one kind: numbers, texts or truth values.
    private mutating func match(
        _ first: inout Operand, _ second: inout Operand, _ sign: SQLToken
    ) throws(SelectError) {
        let a = try settle(&first, second.type ?? .text)
        let b = try settle(&second, a)
        guard a == b || a.isNumber && b.isNumber else { throw noOperator(a, sign, b) }
    }

    private func noOperator(_ first: SQLType?, _ sign: SQLToken, _ second: SQLType?) -> SelectError {
        let types = [first?.name, sign.text.lossyText, second?.name].compactMap(\.self).joined(separator: " ")
        return SelectError(
            "42883", "operator does not exist: \(types)", at: sign.place,
            hint: "No operator matches the given name and argument types. You might need a cast.")
    }

    /// Where the steps of a complete operand that lies on top of the stack begin.
    private func firstStep(of operand: Operand) -> Int {
        var wanted = 1
        var place = steps.count
        while wanted > 0, place > 0 {
            place -= 1
            wanted += steps[place].operandCount - 1
        }
        return place
    }
}

extension SelectStep {
    /// How many values it takes from the stack; each step leaves one.
    var operandCount: Int {
        switch self {
        case .constant, .column, .parameter, .aggregate, .fact: 0
        case .negate, .not, .isNull, .isTruth, .cast: 1
        case .arithmetic, .concatenate, .compare, .and, .or, .like: 2
        case .isAmong(let count): count + 1
        case .call(_, let count): count
        }
    }
}
