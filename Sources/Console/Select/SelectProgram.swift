import Primitives
import Session

/// One step of an expression, in postfix order: it takes its operands from a stack and leaves its value
/// there. NULL in gives NULL out, except where a step says otherwise.
enum SelectStep: Sendable {
    enum Comparison: Sendable { case equal, notEqual, less, lessOrEqual, greater, greaterOrEqual }
    enum Arithmetic: Sendable { case plus, minus, times, over, wholeOver, remainder }

    case constant(SQLValue)
    case column(Int)
    /// From 0.
    case parameter(Int)
    /// The result of an aggregate of the group.
    case aggregate(Int)
    /// Who asks, and what answers.
    case fact(SelectFact)
    case negate
    case arithmetic(Arithmetic)
    case concatenate
    case compare(Comparison)
    /// Three-valued: false AND NULL is false.
    case and, or, not
    /// The second operand is the pattern.
    case like(ignoringCase: Bool)
    /// As many values as this, and before them the one that is looked for.
    case isAmong(Int)
    case isNull
    /// NULL is not the value looked for, so the result is never NULL.
    case isTruth(Bool)
    case cast(SQLType)
    case call(SelectFunction, Int)
}

/// What drivers ask of a connection.
enum SelectFact: Sendable {
    case version, user, database, schema, isInRecovery
}

/// Functions of values.
enum SelectFunction: String, CaseIterable, Sendable {
    case lower, upper, length, abs, coalesce, set_config
}

/// An expression ready to run.
struct SelectProgram: Sendable {
    var steps: [SelectStep]
    var type: SQLType

    /// The columns it looks at outside of aggregates.
    var columns: [Int] {
        steps.compactMap { step in
            if case .column(let column) = step { return column }
            return nil
        }
    }
}

/// What is taken together over the rows of a group.
struct SelectAggregate: Sendable {
    enum Kind: String, CaseIterable, Sendable { case count, sum, min, max, avg }

    let kind: Kind
    /// `nil` for `count(*)`.
    let argument: SelectProgram?
    let isDistinct: Bool
}

/// What an expression may look at.
struct SelectContext {
    var row: [SQLValue] = []
    var aggregates: [SQLValue] = []
    var parameters: [SQLValue] = []
    var user: ByteString = ""
    var version: ByteString = ""
}

extension SelectProgram {
    func run(_ context: SelectContext) throws(SelectError) -> SQLValue {
        var stack: [SQLValue] = []
        for step in steps { try Self.carryOut(step, &stack, context) }
        return stack.last ?? .null
    }

    private static func carryOut(
        _ step: SelectStep, _ stack: inout [SQLValue], _ context: SelectContext
    ) throws(SelectError) {
        switch step {
        case .constant(let value): stack.append(value)
        case .column(let column): stack.append(column < context.row.count ? context.row[column] : .null)
        case .parameter(let place):
            stack.append(place < context.parameters.count ? context.parameters[place] : .null)
        case .aggregate(let place):
            stack.append(place < context.aggregates.count ? context.aggregates[place] : .null)
        case .fact(let fact): stack.append(value(of: fact, context))
        case .negate, .isNull, .isTruth, .not, .cast:
            let operand = stack.popLast() ?? .null
            stack.append(try unary(step, operand))
        case .arithmetic, .concatenate, .compare, .and, .or, .like:
            let second = stack.popLast() ?? .null
            let first = stack.popLast() ?? .null
            stack.append(try binary(step, first, second))
        case .isAmong(let count):
            let values = Array(stack.suffix(count))
            stack.removeLast(min(count, stack.count))
            let wanted = stack.popLast() ?? .null
            stack.append(isAmong(wanted, values))
        case .call(let function, let count):
            let arguments = Array(stack.suffix(count))
            stack.removeLast(min(count, stack.count))
            stack.append(call(function, arguments))
        }
    }

    private static func value(of fact: SelectFact, _ context: SelectContext) -> SQLValue {
        switch fact {
        case .version: .text(context.version)
        case .user: .text(context.user)
        case .database: .text("pgbouncer")
        case .schema: .text("public")
        case .isInRecovery: .bool(false)
        }
    }

    private static func unary(_ step: SelectStep, _ operand: SQLValue) throws(SelectError) -> SQLValue {
        switch step {
        case .isNull: return .bool(operand == .null)
        case .isTruth(let wanted): return .bool(operand.truth == wanted)
        case .not: return .truth(operand.truth.map { !$0 })
        case .negate:
            guard case .number(let number) = operand else { return .null }
            guard let negated = number.negated else { throw .outOfRange }
            return .number(negated)
        case .cast(let type):
            return try cast(operand, type)
        case .constant, .column, .parameter, .aggregate, .fact, .arithmetic, .concatenate, .compare, .and,
            .or,
            .like, .isAmong, .call:
            return .null
        }
    }

    private static func cast(_ operand: SQLValue, _ type: SQLType) throws(SelectError) -> SQLValue {
        switch (operand, type) {
        case (.null, _), (.bool, .bool), (.number, .numeric): return operand
        case (_, .text): return operand.text.map { .text($0) } ?? .null
        case (.number(let number), .int4), (.number(let number), .int8):
            guard let value = number.rounded, type.fits(number) else {
                throw SelectError("22003", "\(type.name) out of range")
            }
            return .number(NumericValue(value))
        case (.number(let number), .bool): return .bool(!number.isZero)
        case (.bool(let value), _): return .number(NumericValue(Int64(value ? 1 : 0)))
        case (.text(let text), _):
            guard let value = type.value(of: text) else {
                throw SelectError(
                    "22P02", "invalid input syntax for type \(type.name): \"\(text.lossyText)\"")
            }
            return value
        }
    }

    private static func binary(
        _ step: SelectStep, _ first: SQLValue, _ second: SQLValue
    ) throws(SelectError) -> SQLValue {
        switch step {
        case .and:
            if first.truth == false || second.truth == false { return .bool(false) }
            return first.truth == nil || second.truth == nil ? .null : .bool(true)
        case .or:
            if first.truth == true || second.truth == true { return .bool(true) }
            return first.truth == nil || second.truth == nil ? .null : .bool(false)
        case .concatenate:
            guard let a = first.text, let b = second.text else { return .null }
            guard a.count + b.count <= Limits.selectBytes else {
                throw SelectError("54000", "text is too long")
            }
            return .text(a.appending(b))
        case .compare(let comparison):
            return .truth(first.order(second).map { holds(comparison, $0) })
        case .like(let ignoringCase):
            guard case .text(let text) = first, case .text(let pattern) = second else { return .null }
            guard text.count <= Limits.likeTextBytes, pattern.count <= Limits.likePatternBytes else {
                throw SelectError("54000", "text is too long for LIKE")
            }
            let matches =
                ignoringCase
                ? LikePattern.matches(text.lowercased, pattern.lowercased)
                : LikePattern.matches(text, pattern)
            return .bool(matches)
        case .arithmetic(let sign):
            guard case .number(let a) = first, case .number(let b) = second else { return .null }
            return .number(try arithmetic(sign, a, b))
        case .constant, .column, .parameter, .aggregate, .fact, .negate, .not, .isAmong, .isNull, .isTruth,
            .cast,
            .call:
            return .null
        }
    }

    private static func holds(_ comparison: SelectStep.Comparison, _ order: Int) -> Bool {
        switch comparison {
        case .equal: order == 0
        case .notEqual: order != 0
        case .less: order < 0
        case .lessOrEqual: order <= 0
        case .greater: order > 0
        case .greaterOrEqual: order >= 0
        }
    }

    private static func arithmetic(
        _ sign: SelectStep.Arithmetic, _ a: NumericValue, _ b: NumericValue
    ) throws(SelectError) -> NumericValue {
        let result: NumericValue?
        switch sign {
        case .plus: result = a.plus(b)
        case .minus: result = a.minus(b)
        case .times: result = a.times(b)
        case .over, .wholeOver, .remainder:
            if b.isZero { throw SelectError("22012", "division by zero") }
            if case .remainder = sign { return a.remainder(b) }
            if case .wholeOver = sign {
                result = a.over(b, isWhole: true)
            } else {
                result = a.over(b, isWhole: false)
            }
        }
        guard let result else { throw .outOfRange }
        return result
    }

    /// `x IN (…)`: NULL when it is not found among values of which one is NULL.
    private static func isAmong(_ wanted: SQLValue, _ values: [SQLValue]) -> SQLValue {
        if wanted == .null { return .null }
        if values.contains(where: { wanted.order($0) == 0 }) { return .bool(true) }
        return values.contains(.null) ? .null : .bool(false)
    }

    private static func call(_ function: SelectFunction, _ arguments: [SQLValue]) -> SQLValue {
        if function == .coalesce { return arguments.first { $0 != .null } ?? .null }
        if function == .set_config { return arguments.count > 1 ? arguments[1] : .null }
        switch (function, arguments.first ?? .null) {
        case (.lower, .text(let text)): return .text(text.lowercased)
        case (.upper, .text(let text)):
            return .text(ByteString(text.bytes.map { $0 >= 0x61 && $0 <= 0x7A ? $0 & 0xDF : $0 }))
        case (.length, .text(let text)):
            return .number(NumericValue(Int64(text.bytes.reduce(0) { $0 + ($1 & 0xC0 == 0x80 ? 0 : 1) })))
        case (.abs, .number(let number)):
            return .number(number.isNegative ? number.negated ?? number : number)
        case (.lower, _), (.upper, _), (.length, _), (.abs, _), (.coalesce, _), (.set_config, _): return .null
        }
    }
}

/// `LIKE`: `%` is any text, `_` any character, a backslash takes the next byte as it is. Time grows with the
/// product of the lengths at most.
enum LikePattern {
    static func matches(_ text: ByteString, _ pattern: ByteString) -> Bool {
        let text = text.bytes
        let pattern = pattern.bytes
        var place = 0
        var at = 0
        // Where to go on when what follows the last % did not match here.
        var retry: (place: Int, at: Int)?
        while place < text.count {
            if at < pattern.count, pattern[at] == UInt8(ascii: "%") {
                at += 1
                retry = (place, at)
            } else if at < pattern.count, pattern[at] == UInt8(ascii: "_") {
                at += 1
                place += 1
                while place < text.count, text[place] & 0xC0 == 0x80 { place += 1 }
            } else if let next = literal(pattern, at), next.byte == text[place] {
                at = next.after
                place += 1
            } else if let last = retry {
                retry = (last.place + 1, last.at)
                (place, at) = (last.place + 1, last.at)
            } else {
                return false
            }
        }
        while at < pattern.count, pattern[at] == UInt8(ascii: "%") { at += 1 }
        return at == pattern.count
    }

    private static func literal(_ pattern: [UInt8], _ at: Int) -> (byte: UInt8, after: Int)? {
        guard at < pattern.count else { return nil }
        if pattern[at] == UInt8(ascii: "\\"), at + 1 < pattern.count { return (pattern[at + 1], at + 2) }
        return (pattern[at], at + 1)
    }
}
