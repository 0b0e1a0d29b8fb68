import Primitives
import Testing

@Suite struct SlotTableTests {
    @Test func aHandleDiesWithItsElement() {
        var table = SlotTable<ClientID, Int>()
        let first = table.insert(7)!
        #expect(table[first] == 7)
        table.remove(first)
        #expect(!table.contains(first))
        let second = table.insert(8)!
        #expect(second.handle.slot == first.handle.slot)
        #expect(second != first)
        #expect(!table.contains(first))
        #expect(table.contains(second))
    }

    @Test func linkIDsSurvivePacking() {
        let handle = Handle(slot: 123_456, generation: 0x7FFF_FFFF)
        for link in [LinkID.client(ClientID(handle)), LinkID.server(ServerID(handle))] {
            #expect(LinkID(packed: link.packed) == link)
        }
    }
}
