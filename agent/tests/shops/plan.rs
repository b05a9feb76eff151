//! Two shops as data: who asks whom for what, and how long each takes by itself.
//!
//! They have the forms of two public demo shops. In the *boutique* one front asks nine services over gRPC,
//! mostly one after the other. In the *ticket office* every request passes a gateway, whose waiting span
//! stands beside its call, and goes down chains of Java services, each with its controller and its
//! repository as spans inside. Neither marks its databases.

/// A shop.
#[derive(Debug)]
pub(crate) struct Shop {
    pub(crate) name: &'static str,
    pub(crate) operations: &'static [Operation],
    /// What is asked at the front, and how often beside the others.
    pub(crate) routes: &'static [(&'static str, f64)],
    /// The front calls all that it takes by this name.
    pub(crate) front_name: &'static str,
    /// A span of the front without children stands beside its call, and covers it.
    pub(crate) waits_beside: Option<&'static str>,
    /// Spans of servers start at a whole millisecond.
    pub(crate) rounds_starts: bool,
    /// Milliseconds between two, one way.
    pub(crate) way_ms: f64,
}

/// What a service does when asked.
#[derive(Debug)]
pub(crate) struct Operation {
    /// Service and operation, parted by a colon.
    pub(crate) id: &'static str,
    /// Its own work, milliseconds.
    pub(crate) work_ms: f64,
    /// Spans of its own work, outermost first; the first also holds the calls.
    pub(crate) inside: &'static [&'static str],
    /// What it asks for: one group after the other, all of a group at once. `*4` asks four times, in turn.
    pub(crate) asks: &'static [&'static [&'static str]],
}

impl Operation {
    pub(crate) fn service(&self) -> &'static str {
        self.id.split_once(':').map_or(self.id, |(service, _)| service)
    }

    pub(crate) fn name(&self) -> &'static str {
        self.id.split_once(':').map_or(self.id, |(_, name)| name)
    }
}

impl Shop {
    pub(crate) fn operation(&self, id: &str) -> &'static Operation {
        let found = self.operations.iter().find(|operation| operation.id == id);
        found.unwrap_or_else(|| panic!("{id} is asked for and is not there"))
    }

    /// The services that requests reach, by their names.
    pub(crate) fn services(&self) -> Vec<&'static str> {
        let mut services: Vec<&str> = self.operations.iter().map(Operation::service).collect();
        services.sort_unstable();
        services.dedup();
        services
    }
}

const fn does(
    id: &'static str,
    work_ms: f64,
    inside: &'static [&'static str],
    asks: &'static [&'static [&'static str]],
) -> Operation {
    Operation { id, work_ms, inside, asks }
}

/// See the module's text.
pub(crate) const BOUTIQUE: Shop = Shop {
    name: "boutique",
    front_name: "shop.Frontend/Recv.",
    waits_beside: None,
    rounds_starts: false,
    way_ms: 1.1,
    routes: &[
        ("frontend:home", 2.0),
        ("frontend:product", 8.0),
        ("frontend:cart", 3.0),
        ("frontend:add", 3.0),
        ("frontend:checkout", 1.5),
        ("frontend:currency", 2.0),
    ],
    operations: &[
        does(
            "frontend:home",
            1.5,
            &[],
            &[
                &["currencyservice:GetSupportedCurrencies"],
                &["productcatalogservice:ListProducts"],
                &["cartservice:GetCart"],
                &["currencyservice:Convert*9"],
                &["adservice:GetAds"],
            ],
        ),
        does(
            "frontend:product",
            1.2,
            &[],
            &[
                &["productcatalogservice:GetProduct"],
                &["currencyservice:GetSupportedCurrencies"],
                &["cartservice:GetCart"],
                &["currencyservice:Convert"],
                &["recommendationservice:ListRecommendations"],
                &["productcatalogservice:GetProduct*5"],
                &["adservice:GetAds"],
            ],
        ),
        does(
            "frontend:cart",
            1.4,
            &[],
            &[
                &["currencyservice:GetSupportedCurrencies"],
                &["cartservice:GetCart"],
                &["recommendationservice:ListRecommendations"],
                &["productcatalogservice:GetProduct*5"],
                &["shippingservice:GetQuote"],
                &["productcatalogservice:GetProduct", "currencyservice:Convert"],
                &["currencyservice:Convert*2"],
            ],
        ),
        does("frontend:add", 0.8, &[], &[&["productcatalogservice:GetProduct"], &["cartservice:AddItem"]]),
        does(
            "frontend:checkout",
            1.5,
            &[],
            &[
                &["checkoutservice:PlaceOrder"],
                &["recommendationservice:ListRecommendations"],
                &["productcatalogservice:GetProduct*5"],
                &["currencyservice:GetSupportedCurrencies"],
            ],
        ),
        does("frontend:currency", 0.3, &[], &[&["currencyservice:GetSupportedCurrencies"]]),
        does(
            "checkoutservice:PlaceOrder",
            2.0,
            &["CheckoutService/PrepareOrder"],
            &[
                &["cartservice:GetCart"],
                &["productcatalogservice:GetProduct*3", "currencyservice:Convert*3"],
                &["shippingservice:GetQuote"],
                &["currencyservice:Convert"],
                &["paymentservice:Charge"],
                &["shippingservice:ShipOrder"],
                &["cartservice:EmptyCart"],
                &["emailservice:SendOrderConfirmation"],
            ],
        ),
        does("recommendationservice:ListRecommendations", 0.9, &[], &[&["productcatalogservice:ListProducts"]]),
        does("productcatalogservice:ListProducts", 2.4, &["ParseCatalog", "ReadCatalog", "sql.conn.query"], &[]),
        does("productcatalogservice:GetProduct", 2.1, &["sql.conn.query"], &[]),
        does("cartservice:GetCart", 0.9, &[], &[]),
        does("cartservice:AddItem", 1.4, &[], &[]),
        does("cartservice:EmptyCart", 0.9, &[], &[]),
        does("currencyservice:GetSupportedCurrencies", 0.5, &["CurrencyService/GetCurrencyData"], &[]),
        does("currencyservice:Convert", 1.1, &["CurrencyService/GetCurrencyData"], &[]),
        does("adservice:GetAds", 6.0, &["AdServiceImpl/getAds", "SELECT adtable.items"], &[]),
        does("shippingservice:GetQuote", 0.7, &["ShippingService/CreateQuoteFromCount"], &[]),
        does("shippingservice:ShipOrder", 0.3, &[], &[]),
        does("paymentservice:Charge", 0.4, &[], &[]),
        does("emailservice:SendOrderConfirmation", 0.8, &[], &[]),
    ],
};

/// See the module's text.
pub(crate) const TICKETS: Shop = Shop {
    name: "ticket office",
    front_name: "/*",
    waits_beside: Some("FilteringWebHandler.handle"),
    rounds_starts: true,
    way_ms: 1.3,
    routes: &[
        ("gateway:travel", 4.0),
        ("gateway:travel2", 3.0),
        ("gateway:plan", 1.0),
        ("gateway:preserve", 2.0),
        ("gateway:food", 3.0),
        ("gateway:orders", 3.0),
        ("gateway:pay", 2.0),
        ("gateway:collect", 2.0),
        ("gateway:cancel", 1.0),
        ("gateway:contacts", 2.0),
        ("gateway:consign", 1.0),
    ],
    operations: &[
        does("gateway:travel", 1.5, &[], &[&["travel:/api/v1/travelservice/trips/left"]]),
        does("gateway:travel2", 1.5, &[], &[&["travel2:/api/v1/travel2service/trips/left"]]),
        does("gateway:plan", 1.5, &[], &[&["travel-plan:/api/v1/travelplanservice/cheapest"]]),
        does("gateway:preserve", 1.5, &[], &[&["preserve:/api/v1/preserveservice/preserve"]]),
        does("gateway:food", 1.5, &[], &[&["food:/api/v1/foodservice/foods/{date}"]]),
        does("gateway:orders", 1.5, &[], &[&["order:/api/v1/orderservice/order/refresh"]]),
        does("gateway:pay", 1.5, &[], &[&["inside-payment:/api/v1/inside_pay_service/inside_payment"]]),
        does("gateway:collect", 1.5, &[], &[&["execute:/api/v1/executeservice/execute/collected/{orderId}"]]),
        does("gateway:cancel", 1.5, &[], &[&["cancel:/api/v1/cancelservice/cancel/{orderId}"]]),
        does("gateway:contacts", 1.5, &[], &[&["contacts:/api/v1/contactservice/contacts/account/{id}"]]),
        does("gateway:consign", 1.5, &[], &[&["consign:/api/v1/consignservice/consigns"]]),
        does(
            "travel:/api/v1/travelservice/trips/left",
            5.0,
            &["TravelController.queryInfo", "TripRepository.findAll", "SELECT ts.trip"],
            &[&["basic:/api/v1/basicservice/basic/travels"], &["seat:/api/v1/seatservice/seats/left_tickets*2"]],
        ),
        does(
            "travel:/api/v1/travelservice/routes/{tripId}",
            3.0,
            &["TravelController.getRouteByTripId", "TripRepository.findByTripId"],
            &[&["route:/api/v1/routeservice/routes/{routeId}"]],
        ),
        does(
            "travel2:/api/v1/travel2service/trips/left",
            5.0,
            &["Travel2Controller.queryInfo", "TripRepository.findAll", "SELECT ts.trip2"],
            &[&["basic:/api/v1/basicservice/basic/travels"], &["seat:/api/v1/seatservice/seats/left_tickets*2"]],
        ),
        does(
            "travel-plan:/api/v1/travelplanservice/cheapest",
            3.0,
            &["TravelPlanController.getByCheapest"],
            &[
                &["route-plan:/api/v1/routeplanservice/routePlan/cheapest"],
                &["seat:/api/v1/seatservice/seats/left_tickets"],
            ],
        ),
        does(
            "route-plan:/api/v1/routeplanservice/routePlan/cheapest",
            3.0,
            &["RoutePlanController.getCheapest"],
            &[
                &["travel:/api/v1/travelservice/trips/left", "travel2:/api/v1/travel2service/trips/left"],
                &["travel:/api/v1/travelservice/routes/{tripId}"],
            ],
        ),
        does(
            "basic:/api/v1/basicservice/basic/travels",
            3.0,
            &["BasicController.queryForTravels"],
            &[
                &["station:/api/v1/stationservice/stations/idlist"],
                &["train:/api/v1/trainservice/trains/byNames"],
                &["route:/api/v1/routeservice/routes/byIds/"],
                &["price:/api/v1/priceservice/prices/byRouteIdsAndTrainTypes"],
            ],
        ),
        does(
            "seat:/api/v1/seatservice/seats/left_tickets",
            3.0,
            &["SeatController.getLeftTicketOfInterval"],
            &[
                &["order-other:/api/v1/orderOtherService/orderOther/tickets"],
                &["config:/api/v1/configservice/configs/{name}"],
            ],
        ),
        does(
            "seat:/api/v1/seatservice/seats",
            3.0,
            &["SeatController.create"],
            &[&["order:/api/v1/orderservice/order/tickets"], &["config:/api/v1/configservice/configs/{name}"]],
        ),
        does(
            "preserve:/api/v1/preserveservice/preserve",
            5.0,
            &["PreserveController.preserve"],
            &[
                &["security:/api/v1/securityservice/securityConfigs/{accountId}"],
                &["contacts:/api/v1/contactservice/contacts/{id}"],
                &["travel:/api/v1/travelservice/trips/left"],
                &["station:/api/v1/stationservice/stations/idlist"],
                &["seat:/api/v1/seatservice/seats"],
                &["order:/api/v1/orderservice/order"],
                &["assurance:/api/v1/assuranceservice/assurances/{orderId}"],
                &["food:/api/v1/foodservice/orders"],
                &["user:/api/v1/userservice/users/id/{userId}"],
            ],
        ),
        does(
            "food:/api/v1/foodservice/foods/{date}",
            3.0,
            &["FoodController.getAllFood"],
            &[
                &["train-food:/api/v1/trainfoodservice/trainfoods/{tripId}"],
                &["travel:/api/v1/travelservice/routes/{tripId}"],
                &["station-food:/api/v1/stationfoodservice/stationfoodstores"],
            ],
        ),
        does(
            "food:/api/v1/foodservice/orders",
            9.0,
            &["FoodController.createFoodOrder", "FoodOrderRepository.save"],
            &[],
        ),
        does(
            "inside-payment:/api/v1/inside_pay_service/inside_payment",
            8.0,
            &["InsidePaymentController.pay"],
            &[&["order:/api/v1/orderservice/order/{orderId}"]],
        ),
        does(
            "execute:/api/v1/executeservice/execute/collected/{orderId}",
            2.5,
            &["ExecuteController.collectTicket"],
            &[
                &["order:/api/v1/orderservice/order/{orderId}"],
                &["order-other:/api/v1/orderOtherService/orderOther/{orderId}"],
            ],
        ),
        does(
            "cancel:/api/v1/cancelservice/cancel/{orderId}",
            3.0,
            &["CancelController.cancelTicket"],
            &[&["order:/api/v1/orderservice/order/{orderId}"], &["user:/api/v1/userservice/users/id/{userId}"]],
        ),
        does(
            "security:/api/v1/securityservice/securityConfigs/{accountId}",
            3.0,
            &["SecurityController.check"],
            &[
                &["order:/api/v1/orderservice/order/{orderId}"],
                &["order-other:/api/v1/orderOtherService/orderOther/{orderId}"],
            ],
        ),
        does(
            "consign:/api/v1/consignservice/consigns",
            4.0,
            &["ConsignController.insertConsign", "ConsignRepository.save"],
            &[&["consign-price:/api/v1/consignpriceservice/consignprice"]],
        ),
        does("consign-price:/api/v1/consignpriceservice/consignprice", 2.5, &["ConsignPriceController.get"], &[]),
        does(
            "contacts:/api/v1/contactservice/contacts/account/{id}",
            4.0,
            &["ContactsController.find", "SELECT ts.contacts"],
            &[],
        ),
        does(
            "contacts:/api/v1/contactservice/contacts/{id}",
            3.5,
            &["ContactsController.get", "SELECT ts.contacts"],
            &[],
        ),
        does(
            "order:/api/v1/orderservice/order/refresh",
            6.0,
            &["OrderController.queryOrders", "SELECT ts.orders"],
            &[&["station:/api/v1/stationservice/stations/idlist"]],
        ),
        does(
            "order:/api/v1/orderservice/order/{orderId}",
            4.5,
            &["OrderController.getOrderById", "OrderRepository.findById", "SELECT ts.orders"],
            &[],
        ),
        does(
            "order:/api/v1/orderservice/order/tickets",
            5.0,
            &["OrderController.getTicketList", "SELECT ts.orders"],
            &[],
        ),
        does(
            "order:/api/v1/orderservice/order",
            8.0,
            &["OrderController.create", "OrderRepository.save", "INSERT ts.orders"],
            &[],
        ),
        does(
            "order-other:/api/v1/orderOtherService/orderOther/{orderId}",
            4.5,
            &["OrderOtherController.getOrderById", "SELECT ts.orders_other"],
            &[],
        ),
        does(
            "order-other:/api/v1/orderOtherService/orderOther/tickets",
            3.5,
            &["OrderOtherController.getTicketList", "SELECT ts.orders_other"],
            &[],
        ),
        does(
            "station:/api/v1/stationservice/stations/idlist",
            3.0,
            &["StationController.queryForIdBatch", "StationRepository.findByNames", "SELECT ts.station"],
            &[],
        ),
        does(
            "train:/api/v1/trainservice/trains/byNames",
            2.8,
            &["TrainController.retrieveByName", "SELECT ts.train_type"],
            &[],
        ),
        does(
            "route:/api/v1/routeservice/routes/byIds/",
            14.0,
            &["RouteController.queryByIds", "RouteRepository.findByIds", "SELECT ts.route"],
            &[],
        ),
        does(
            "route:/api/v1/routeservice/routes/{routeId}",
            6.0,
            &["RouteController.queryById", "RouteRepository.findById"],
            &[],
        ),
        does(
            "price:/api/v1/priceservice/prices/byRouteIdsAndTrainTypes",
            5.0,
            &["PriceController.query", "SELECT ts.price_config"],
            &[],
        ),
        does(
            "config:/api/v1/configservice/configs/{name}",
            2.2,
            &["ConfigController.retrieve", "SELECT ts.config"],
            &[],
        ),
        does(
            "train-food:/api/v1/trainfoodservice/trainfoods/{tripId}",
            5.0,
            &["TrainFoodController.getTrainFoodOfTrip", "SELECT ts.train_food"],
            &[],
        ),
        does(
            "station-food:/api/v1/stationfoodservice/stationfoodstores",
            9.0,
            &["StationFoodController.getFoodStores", "SELECT ts.station_food_store"],
            &[],
        ),
        does(
            "assurance:/api/v1/assuranceservice/assurances/{orderId}",
            9.0,
            &["AssuranceController.create", "AssuranceRepository.save", "INSERT ts.assurance"],
            &[],
        ),
        does(
            "user:/api/v1/userservice/users/id/{userId}",
            5.5,
            &["UserController.getUserByUserId", "SELECT ts.user"],
            &[],
        ),
    ],
};
