import Primitives
import Testing

@Suite struct SlotTableTests {
    @Test func aHandleDiesWithItsElement() {
        var table = SlotTable<ClientID, Int>()
        let first = table.insert(7)!
        let value = table[first]
        #expect(value == 7)
        table.remove(first)
        let isGone = !table.contains(first)
        #expect(isGone)
        let second = table.insert(8)!
        #expect(second.handle.slot == first.handle.slot)
        #expect(second != first)
        let isStillGone = !table.contains(first)
        let isThere = table.contains(second)
        #expect(isStillGone)
        #expect(isThere)
    }

    @Test func linkIDsSurvivePacking() {
        let handle = Handle(slot: 123_456, generation: 0x7FFF_FFFF)
        for link in [LinkID.client(ClientID(handle)), LinkID.server(ServerID(handle))] {
            #expect(LinkID(packed: link.packed) == link)
        }
    }
}
