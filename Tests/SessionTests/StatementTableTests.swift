import Primitives
import Session
import Testing

@Suite struct StatementTableTests {
    private let definition = ByteString(Array("select 1\0\0\0".utf8))

    @Test func theSameDefinitionIsOneStatementWithOneName() {
        var table = StatementTable(seed: 1)
        let a = definition.withView { table.hold($0) }
        let b = definition.withView { table.hold($0) }
        let other = ByteString(Array("select 2\0\0\0".utf8)).withView { table.hold($0) }
        #expect(a == b)
        #expect(a != other)
        let names = [table.name(a), table.name(other)]
        #expect(names == ["PGBOUNCER_1", "PGBOUNCER_2"])
        table.letGo(a)
        table.hold(again: b)
        table.letGo(b)
        var count = table.count
        #expect(count == 2)
        table.letGo(b)
        count = table.count
        #expect(count == 1)
        table.letGo(other)
        table.letGo(ExpectedReply.none)
        count = table.count
        #expect(count == 0)
    }

    /// A server may still have the old one under its name.
    @Test func aNameIsNeverUsedAgain() {
        var table = StatementTable(seed: 1)
        let a = definition.withView { table.hold($0) }
        table.letGo(a)
        let b = ByteString(Array("select 2\0\0\0".utf8)).withView { table.hold($0) }
        #expect(a == b)
        let name = table.name(b)
        #expect(name == "PGBOUNCER_2")
    }

    @Test func itsMessages() {
        var table = StatementTable(seed: 1)
        let statement = definition.withView { table.hold($0) }
        var buffer = ByteBuffer()
        table.writeParse(statement, named: true, into: &buffer)
        table.writeParse(statement, named: false, into: &buffer)
        table.writeClose(statement, into: &buffer)
        let bytes = Array(buffer.view.rawBuffer)
        let expected =
            Array("P\0\0\0\u{1B}PGBOUNCER_1\0select 1\0\0\0".utf8)
            + Array("P\0\0\0\u{10}\0select 1\0\0\0".utf8)
            + Array("C\0\0\0\u{11}SPGBOUNCER_1\0".utf8)
        #expect(bytes == expected)
    }
}
