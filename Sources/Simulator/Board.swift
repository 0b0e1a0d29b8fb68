import Config
import Console
import Engine
import Primitives

/// One of the switchboards of a run, with what its driver keeps for it.
final class Board {
    let worker: WorkerID
    var engine: Switchboard
    var desk = ConsoleDesk(clock: WallClock(startSeconds: 1_700_000_000, startInstant: World.start))
    /// By slot of the handle, and how many there are.
    private(set) var clientCables: [Cable?] = []
    private(set) var serverCables: [Cable?] = []
    private(set) var clientLinks = 0
    private(set) var serverLinks = 0
    var unopened: [OpenRequest] = []

    init(_ engine: consuming Switchboard) {
        worker = engine.crew.me
        self.engine = engine
    }

    func cable(_ link: LinkID) -> Cable? {
        let slot = Int(link.handle.slot)
        let cable: Cable?
        switch link {
        case .client: cable = slot < clientCables.count ? clientCables[slot] : nil
        case .server: cable = slot < serverCables.count ? serverCables[slot] : nil
        }
        return cable?.link == link ? cable : nil
    }

    func install(_ cable: Cable) {
        let slot = Int(cable.link.handle.slot)
        switch cable.link {
        case .client:
            while clientCables.count <= slot { clientCables.append(nil) }
            clientCables[slot] = cable
            clientLinks += 1
        case .server:
            while serverCables.count <= slot { serverCables.append(nil) }
            serverCables[slot] = cable
            serverLinks += 1
        }
    }

    /// The engine's handle is dead.
    func remove(_ cable: Cable) {
        let slot = Int(cable.link.handle.slot)
        switch cable.link {
        case .client:
            clientCables[slot] = nil
            clientLinks -= 1
        case .server:
            serverCables[slot] = nil
            serverLinks -= 1
        }
    }

    /// Cuts the cycles of references.
    func letGo() {
        clientCables = []
        serverCables = []
        unopened = []
    }
}
