/// What is still to happen, earliest first; of one instant, in the order it was arranged.
struct EventHeap {
    enum Event {
        case connect(SimulatedClient)
        case arrive(Cable, Int)
        case arriveEnd(Cable, isReset: Bool)
        case peerRead(Cable)
        case offer(Cable)
        case wake(SimulatedClient)
        case leave(SimulatedClient)
        case statementDone(SimulatedServer, UInt64)
        case opened(OpenRequest)
        case welcome(SimulatedServer)
        case cancel(SimulatedClient, rightKey: Bool, waits: Bool)
        case cancelHits(SimulatedServer)
        case deed(Scenario.Deed.What)
        case calm
    }

    private struct Entry {
        let at: UInt64
        let number: UInt64
        let event: Event
        static func < (a: Entry, b: Entry) -> Bool { a.at != b.at ? a.at < b.at : a.number < b.number }
    }

    private var entries: [Entry] = []
    private var numbers: UInt64 = 0

    var nextAt: UInt64? { entries.first?.at }
    var isEmpty: Bool { entries.isEmpty }

    mutating func add(_ event: Event, at instant: UInt64) {
        numbers += 1
        entries.append(Entry(at: instant, number: numbers, event: event))
        var child = entries.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard entries[child] < entries[parent] else { break }
            entries.swapAt(child, parent)
            child = parent
        }
    }

    mutating func takeFirst() -> (at: UInt64, event: Event)? {
        guard let first = entries.first else { return nil }
        let last = entries.removeLast()
        if !entries.isEmpty {
            entries[0] = last
            var parent = 0
            while true {
                var least = parent
                for child in [2 * parent + 1, 2 * parent + 2]
                where child < entries.count && entries[child] < entries[least] {
                    least = child
                }
                if least == parent { break }
                entries.swapAt(least, parent)
                parent = least
            }
        }
        return (first.at, first.event)
    }
}
