import Primitives
import Testing

@testable import Session

@Suite struct ParameterTableTests {
    private let encoding = 0
    private let conforming = 3
    private let application = 4

    private func table(_ extra: [ByteString] = []) -> ParameterTable {
        ParameterTable(extra: extra, seed: 1)
    }

    /// A set with these values, held.
    private func set(_ table: inout ParameterTable, _ values: [(Int, ByteString)]) -> ParameterSetID {
        table.hold(again: table.empty)
        var set = table.empty
        for (index, value) in values {
            set = value.withView { table.replacing(set, at: index, with: $0) }
        }
        return set
    }

    private func changes(
        _ table: borrowing ParameterTable, _ present: ParameterSetID, _ wanted: ParameterSetID
    ) -> String? {
        var sql = ByteBuffer()
        let count = table.writeChanges(from: present, to: wanted, into: &sql)
        return count.map { "\($0) \(sql.view.lossyText)" }
    }

    /// Sets held now, the empty one included: new ones get numbers without gaps once the free ones are used up.
    private func held(_ table: inout ParameterTable) -> Int {
        var probes: [ParameterSetID] = []
        var highest = 0
        for probe in 0..<64 {
            let set = set(&table, [(application, ByteString("probe \(probe)"))])
            probes.append(set)
            highest = max(highest, Int("\(set)".filter(\.isNumber)) ?? 0)
        }
        for probe in probes { table.letGo(probe) }
        return highest + 1 - probes.count
    }

    @Test func equalSetsAreOneSet() {
        var table = table()
        let a = set(&table, [(encoding, "UTF8"), (application, "me")])
        let b = set(&table, [(application, "you"), (encoding, "UTF8"), (application, "me")])
        #expect(a == b)
        let c = set(&table, [(application, "me")])
        #expect(a != c)
        let values = [table.value(application, in: a), table.value(1, in: a), table.value(99, in: a)]
        #expect(values == ["me", nil, nil])
        for set in [a, b, c] { table.letGo(set) }
        let count = held(&table)
        #expect(count == 1)
    }

    @Test func anEmptyValueIsAValue() {
        var table = table()
        let a = set(&table, [(application, "")])
        let value = table.value(application, in: a)
        #expect(value == "")
        #expect(a != table.empty)
        let sql = changes(table, table.empty, a)
        #expect(sql == "1 SET application_name='';")
        let none = changes(table, a, table.empty)
        #expect(none == "0 ")
    }

    @Test func onlyDifferencesAreWritten() {
        var table = table(["search_path"])
        let server = set(&table, [(encoding, "UTF8"), (application, "me"), (1, "ISO")])
        let client = set(
            &table, [(encoding, "UTF8"), (application, "you"), (2, "UTC"), (5, "a, \"B\"")])
        let sql = changes(table, server, client)
        #expect(
            sql
                == "3 SET TimeZone='UTC';SET application_name='you';"
                + "SELECT pg_catalog.set_config('search_path','a, \"B\"',false);")
        let same = changes(table, client, client)
        #expect(same == "0 ")
    }

    @Test(
        arguments: [
            ("on", "it's", "1 SET application_name='it''s';"),
            ("on", "a\\'; drop table t; --", "1 SET application_name='a\\''; drop table t; --';"),
            ("off", "a\\'; drop table t; --", "1 SET application_name='a\\\\''; drop table t; --';"),
            ("on", "UTF8'; select 1; --", "1 SET application_name='UTF8''; select 1; --';"),
            ("on", "'", "1 SET application_name='''';"),
            ("off", "\\", "1 SET application_name='\\\\';"),
            ("on", "\\", "1 SET application_name='\\';"),
            ("off", "é", nil),
        ] as [(ByteString, String, String?)])
    func valuesAreQuoted(_ conforming: ByteString, _ value: String, _ expected: String?) {
        var table = table()
        let server = set(&table, [(self.conforming, conforming)])
        let client = set(&table, [(application, ByteString(value))])
        let sql = changes(table, server, client)
        #expect(sql == expected)
    }

    @Test func aNameThatIsNoNameIsNotWritten() {
        var table = table()
        let index = ByteString("a b").withView { table.reportedIndex($0) }
        let client = set(&table, [(index ?? 0, "x")])
        let sql = changes(table, table.empty, client)
        #expect(sql == nil)
    }

    @Test func wishesGoOverWhatIsThere() {
        var table = table()
        let base = set(&table, [(encoding, "UTF8"), (application, "server")])
        let wishes = set(&table, [(application, "me"), (2, "UTC")])
        let both = table.overlay(wishes, on: base)
        var all: [String] = []
        table.forEach(in: both) { all.append("\($0.lossyText)=\($1.lossyText)") }
        #expect(all == ["client_encoding=UTF8", "TimeZone=UTC", "application_name=me"])
        for set in [base, wishes, both] { table.letGo(set) }
        let count = held(&table)
        #expect(count == 1)
    }

    @Test func namesAreFoundWithoutCaseAndTakeTheServersSpelling() {
        var table = table(["intervalstyle", "DATESTYLE"])
        let client = ByteString("datestyle").withView { table.startupIndex($0) }
        #expect(client == 1)
        let extra = ByteString("IntervalStyle").withView { table.reportedIndex($0) }
        #expect(extra == 5)
        let style = set(&table, [(5, "iso_8601")])
        let sql = changes(table, table.empty, style)
        #expect(sql == "1 SET IntervalStyle='iso_8601';")
    }

    @Test func whatNoSessionCanSetIsNotFollowed() {
        var table = table()
        for name in ["server_version", "server_encoding", "is_superuser"] as [ByteString] {
            let index = name.withView { table.reportedIndex($0) }
            #expect(index == nil)
        }
        let unknown = ByteString("foo").withView { table.startupIndex($0) }
        #expect(unknown == nil)
    }

    @Test func aServerCannotMakeTheTableGrowWithoutEnd() {
        var table = table()
        var followed = 0
        for number in 0..<500 {
            if ByteString("p\(number)").withView({ table.reportedIndex($0) }) != nil { followed += 1 }
        }
        #expect(followed == ParameterTable.limit - 5)
    }

    /// Random changes by random holders: when all have let go, nothing is left.
    @Test(arguments: 1...8 as ClosedRange<UInt64>)
    func nothingIsLeftWhenAllHaveLetGo(_ seed: UInt64) {
        var random = Random(seed: seed)
        var table = table()
        var holders: [(set: ParameterSetID, model: [Int: ByteString])] = []
        for _ in 0..<80 {
            switch random.below(4) {
            case 0:
                table.hold(again: table.empty)
                holders.append((table.empty, [:]))
            case 1 where !holders.isEmpty:
                let place = random.below(holders.count)
                let (index, value) = (random.below(6), ByteString("v\(random.below(4))"))
                holders[place].set = value.withView {
                    table.replacing(holders[place].set, at: index, with: $0)
                }
                holders[place].model[index] = value
            case 2 where holders.count > 1:
                let (top, base) = (
                    holders[random.below(holders.count)], holders[random.below(holders.count)]
                )
                holders.append(
                    (table.overlay(top.set, on: base.set), base.model.merging(top.model) { $1 }))
            case 3 where !holders.isEmpty:
                table.letGo(holders.remove(at: random.below(holders.count)).set)
            default: break
            }
            for holder in holders {
                let values = (0..<6).map { table.value($0, in: holder.set) }
                #expect(values == (0..<6).map { holder.model[$0] })
            }
        }
        for holder in holders { table.letGo(holder.set) }
        let count = held(&table)
        #expect(count == 1)
    }
}
