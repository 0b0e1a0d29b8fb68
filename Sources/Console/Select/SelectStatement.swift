import Engine
import Primitives

/// A SELECT over one of the tables of SHOW, or over none: checked, typed, ready to run any number of times.
struct SelectStatement: Sendable {
    struct Item: Sendable {
        let name: String
        let program: SelectProgram
        /// Where it stands in the text.
        let place: Int
    }

    struct Key: Sendable {
        let program: SelectProgram
        let isDescending: Bool
        let nullsFirst: Bool
    }

    /// `nil` without FROM: one row without columns.
    let table: (any ShowCommand.Type)?
    var isDistinct = false
    var items: [Item] = []
    var filter: SelectProgram?
    /// Columns.
    var groups: [Int] = []
    var isGrouped = false
    var having: SelectProgram?
    var order: [Key] = []
    var limit: SelectProgram?
    var offset: SelectProgram?
    var aggregates: [SelectAggregate] = []
    var parameters: [SQLType] = []

    init(table: (any ShowCommand.Type)?) { self.table = table }

    var headers: [ColumnHeader] {
        items.map { ColumnHeader(name: $0.name, type: $0.program.type.column, doc: "") }
    }

    /// The rows of the answer.
    func run(
        _ switchboard: borrowing Switchboard, at moment: Moment, _ asked: SelectContext
    ) throws(SelectError) -> [[Cell]] {
        let rows = table.map { $0.cells(switchboard, at: moment).map { $0.map { SQLValue($0) } } } ?? [[]]
        return try run(rows, asked)
    }

    func run(_ rows: [[SQLValue]], _ asked: SelectContext) throws(SelectError) -> [[Cell]] {
        var contexts: [SelectContext] = []
        for row in rows {
            var context = asked
            context.row = row
            if let filter, try filter.run(context).truth != true { continue }
            contexts.append(context)
        }
        if isGrouped { contexts = try grouped(contexts, asked) }
        var found: [(values: [SQLValue], keys: [SQLValue])] = []
        var bytes = 0
        for context in contexts {
            var values: [SQLValue] = []
            for item in items {
                let value = try item.program.run(context)
                if case .text(let text) = value { bytes += text.count }
                guard bytes <= Limits.selectAnswerBytes else {
                    throw SelectError("54000", "answer is too large")
                }
                values.append(value)
            }
            var keys: [SQLValue] = []
            for key in order { keys.append(try key.program.run(context)) }
            found.append((values, keys))
        }
        if isDistinct {
            var seen: Set<[SQLValue]> = []
            found = found.filter { seen.insert($0.values).inserted }
        }
        found = sorted(found)
        let from = try count(offset, asked, "2201X", "OFFSET") ?? 0
        let upTo = try count(limit, asked, "2201W", "LIMIT") ?? .max
        var answer: [[Cell]] = []
        for row in found.dropFirst(from).prefix(upTo) {
            var cells: [Cell] = []
            for (value, item) in zip(row.values, items) { cells.append(try value.cell(item.program.type)) }
            answer.append(cells)
        }
        return answer
    }

    private func count(
        _ program: SelectProgram?, _ asked: SelectContext, _ state: ByteString, _ clause: String
    ) throws(SelectError) -> Int? {
        // NULL is no limit.
        guard let program, case .number(let number) = try program.run(asked) else { return nil }
        guard let count = number.rounded, count >= 0 else {
            throw SelectError(state, "\(clause) must not be negative")
        }
        return Int(count)
    }

    /// The sort keeps rows in their order whose keys are equal.
    private func sorted(
        _ rows: [(values: [SQLValue], keys: [SQLValue])]
    ) -> [(values: [SQLValue], keys: [SQLValue])] {
        if order.isEmpty { return rows }
        return rows.enumerated().sorted { a, b in
            for (place, key) in order.enumerated() {
                let (first, second) = (a.element.keys[place], b.element.keys[place])
                if first == second { continue }
                if first == .null { return key.nullsFirst }
                if second == .null { return !key.nullsFirst }
                let order = first.order(second) ?? 0
                if order != 0 { return key.isDescending ? order > 0 : order < 0 }
            }
            return a.offset < b.offset
        }.map(\.element)
    }

    // MARK: Groups

    /// One context a group: its first row, and what its aggregates come to. Without GROUP BY everything is
    /// one group, even nothing at all.
    private func grouped(
        _ contexts: [SelectContext], _ asked: SelectContext
    ) throws(SelectError) -> [SelectContext] {
        var places: [[SQLValue]: Int] = [:]
        var members: [[SelectContext]] = []
        for context in contexts {
            let key = groups.map { context.row[$0] }
            if let place = places[key] {
                members[place].append(context)
            } else {
                places[key] = members.count
                members.append([context])
            }
        }
        if groups.isEmpty, members.isEmpty { members = [[]] }
        var found: [SelectContext] = []
        for member in members {
            var context = member.first ?? asked
            for aggregate in aggregates { context.aggregates.append(try aggregate.run(member)) }
            if let having, try having.run(context).truth != true { continue }
            found.append(context)
        }
        return found
    }
}

extension SelectAggregate {
    fileprivate func run(_ rows: [SelectContext]) throws(SelectError) -> SQLValue {
        guard let argument else { return .number(NumericValue(Int64(rows.count))) }
        var values: [SQLValue] = []
        for row in rows {
            let value = try argument.run(row)
            if value != .null { values.append(value) }
        }
        if isDistinct {
            var seen: Set<SQLValue> = []
            values = values.filter { seen.insert($0).inserted }
        }
        let count = NumericValue(Int64(values.count))
        switch kind {
        case .count: return .number(count)
        case .min: return values.min { $0.order($1) ?? 0 < 0 } ?? .null
        case .max: return values.max { $0.order($1) ?? 0 < 0 } ?? .null
        case .sum, .avg:
            guard !values.isEmpty else { return .null }
            var sum = NumericValue(Int64(0))
            for value in values {
                guard case .number(let number) = value, let next = sum.plus(number) else { throw .outOfRange }
                sum = next
            }
            if kind == .sum { return .number(sum) }
            guard let average = sum.over(count, isWhole: false) else { throw .outOfRange }
            return .number(average)
        }
    }
}
