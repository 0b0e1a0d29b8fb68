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

    @Test(arguments: 1...5 as ClosedRange<UInt64>)
    func agreesWithADictionary(_ seed: UInt64) {
        var random = Random(seed: seed)
        var table = SlotTable<ServerID, Int>()
        var model: [ServerID: Int] = [:]
        var dead: [ServerID] = []
        for step in 0..<3000 {
            if random.below(3) > 0 || model.isEmpty {
                guard let id = table.insert(step) else { continue }
                #expect(model[id] == nil)
                #expect(!dead.contains(id))
                model[id] = step
            } else if let id = model.keys.min(by: { $0.handle.slot < $1.handle.slot }) {
                table.remove(id)
                model[id] = nil
                if dead.count < 50 { dead.append(id) }
            }
        }
        let count = table.count
        #expect(count == model.count)
        for (id, value) in model {
            let found = table[id]
            #expect(found == value)
            let live = table.id(at: id.handle.slot)
            #expect(live == id)
        }
        for id in dead {
            let isThere = table.contains(id)
            #expect(!isThere)
        }
        let live = (0..<table.slotCount).compactMap { table.id(at: $0) }.count
        #expect(live == model.count)
        let beyond = table.id(at: table.slotCount)
        #expect(beyond == nil)
    }
}
