import Pool
import Primitives
import Testing

/// A server is in exactly one list, whatever is done with it.
@Suite struct ServerStateTests {
    private func server(_ slot: Int) -> ServerID {
        ServerID(Handle(slot: UInt32(slot), generation: 1))
    }

    private func slots(_ lists: ServerLists, _ state: ServerState, _ roster: borrowing ServerRoster)
        -> [UInt32]
    {
        var slots: [UInt32] = []
        lists.forEach(state, in: roster) { slots.append($0) }
        return slots
    }

    @Test(arguments: 1...5 as ClosedRange<UInt64>)
    func agreesWithAModel(_ seed: UInt64) {
        var random = Random(seed: seed)
        var roster = ServerRoster()
        var pools = [ServerLists(), ServerLists()]
        var models: [[ServerState: [UInt32]]] = [[:], [:]]
        for _ in 0..<300 {
            let slot = random.below(30)
            // A slot belongs to one pool for good.
            let pool = slot % 2
            let state = ServerState(rawValue: UInt8(random.below(6)))
            pools[pool].move(server(slot), to: state, in: &roster)
            for old in ServerState.allCases { models[pool][old]?.removeAll { $0 == UInt32(slot) } }
            if let state { models[pool][state, default: []].append(UInt32(slot)) }
            let now = roster.state(server(slot))
            #expect(now == state)
            for pool in 0..<2 {
                for state in ServerState.allCases {
                    let found = slots(pools[pool], state, roster)
                    #expect(found == models[pool][state] ?? [])
                    #expect(pools[pool][state].count == found.count)
                }
                let cancelling = pools[pool][.cancelling].count
                let all = ServerState.allCases.reduce(0) { $0 + pools[pool][$1].count }
                #expect(pools[pool].sessions == all - cancelling)
            }
        }
    }

    @Test func theServerUsedLastIsLentOrInTurn() {
        var roster = ServerRoster()
        var lists = ServerLists()
        #expect(lists.idleSlot(roundRobin: false) == nil)
        for slot in [5, 3, 9] { lists.move(server(slot), to: .idle, in: &roster) }
        #expect(lists.idleSlot(roundRobin: false) == 9)
        #expect(lists.idleSlot(roundRobin: true) == 5)
        lists.move(server(9), to: .active, in: &roster)
        lists.move(server(5), to: .active, in: &roster)
        lists.move(server(5), to: .idle, in: &roster)
        #expect(lists.idleSlot(roundRobin: false) == 5)
        #expect(lists.idleSlot(roundRobin: true) == 3)
    }

    @Test func aServerNeverSeenIsInNoList() {
        let roster = ServerRoster()
        let state = roster.state(server(1000))
        #expect(state == nil)
    }
}
