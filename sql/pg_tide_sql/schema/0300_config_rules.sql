-- The rules of a pipeline's configuration.
-- Generated from the models of pg_tide_relay.config by "make generate"; changes made here are lost.
-- tide._config_rules() holds the rule document that tide.relay_validate reads (0310_validate.sql), the
-- view tide.config_keys lists the keys for people. The rule language is described in the relay's
-- module config.rules.

create or replace function tide._config_rules()
returns jsonb
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  -- The rule document of a pipeline's configuration. Caller: tide.relay_validate. Locks: none.
  select $rules$
{
 "keys": {
  "acks": {
   "default": "all",
   "required": false,
   "rule": {
    "enum": [
     "0",
     "1",
     "all"
    ],
    "expects": "one of \"0\", \"1\", \"all\"",
    "not_yet": [],
    "type": "string",
    "what": "a string"
   }
  },
  "batch_size": {
   "default": 100,
   "required": false,
   "rule": {
    "expects": "a whole number from 1 to 10000 (messages)",
    "max": 10000,
    "min": 1,
    "type": "integer",
    "what": "a whole number"
   }
  },
  "brokers": {
   "required": true,
   "rule": {
    "entries": {
     "expects": "host:port with a port from 1 to 65535 (an IPv6 address in brackets)",
     "pattern": "(?:[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?|\\[[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*(?:%[A-Za-z0-9._-]+)?\\]):(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])",
     "separator": ","
    },
    "expects": "a comma-separated list of host:port",
    "type": "string",
    "what": "a string"
   }
  },
  "compression": {
   "default": "none",
   "required": false,
   "rule": {
    "enum": [
     "none",
     "gzip",
     "snappy",
     "lz4",
     "zstd"
    ],
    "expects": "one of \"none\", \"gzip\", \"snappy\", \"lz4\", \"zstd\"",
    "not_yet": [],
    "type": "string",
    "what": "a string"
   }
  },
  "delivery": {
   "default": "at_least_once",
   "required": false,
   "rule": {
    "enum": [
     "at_least_once",
     "exactly_once"
    ],
    "expects": "one of \"at_least_once\", \"exactly_once\"",
    "not_yet": [],
    "type": "string",
    "what": "a string"
   }
  },
  "dlq": {
   "default": {
    "max_in_a_row": 1000,
    "max_parked_keys": 10000,
    "on_error": "continue",
    "retention_days": 14
   },
   "required": false,
   "rule": {
    "keys": {
     "max_in_a_row": {
      "default": 1000,
      "required": false,
      "rule": {
       "expects": "a whole number from 1 to 1000000 (messages)",
       "max": 1000000,
       "min": 1,
       "type": "integer",
       "what": "a whole number"
      }
     },
     "max_parked_keys": {
      "default": 10000,
      "required": false,
      "rule": {
       "expects": "a whole number from 1 to 100000 (keys)",
       "max": 100000,
       "min": 1,
       "type": "integer",
       "what": "a whole number"
      }
     },
     "on_error": {
      "default": "continue",
      "required": false,
      "rule": {
       "enum": [
        "continue",
        "park_key",
        "stop"
       ],
       "expects": "one of \"continue\", \"park_key\", \"stop\"",
       "not_yet": [],
       "type": "string",
       "what": "a string"
      }
     },
     "retention_days": {
      "default": 14,
      "required": false,
      "rule": {
       "expects": "a whole number from 1 to 3650 (days)",
       "max": 3650,
       "min": 1,
       "type": "integer",
       "what": "a whole number"
      }
     }
    },
    "not_yet": [
     "on_missing_topic",
     "topic"
    ],
    "relations": [
     {
      "at": "max_parked_keys",
      "message": "has no effect where on_error is \"continue\"",
      "severity": "error",
      "when": [
       {
        "keys": [
         "max_parked_keys"
        ],
        "test": "none_of",
        "values": [
         10000
        ]
       },
       {
        "keys": [
         "on_error"
        ],
        "test": "one_of",
        "values": [
         "continue"
        ]
       }
      ]
     },
     {
      "at": "max_parked_keys",
      "message": "has no effect where on_error is \"stop\"",
      "severity": "error",
      "when": [
       {
        "keys": [
         "max_parked_keys"
        ],
        "test": "none_of",
        "values": [
         10000
        ]
       },
       {
        "keys": [
         "on_error"
        ],
        "test": "one_of",
        "values": [
         "stop"
        ]
       }
      ]
     },
     {
      "at": "max_in_a_row",
      "message": "has no effect where on_error is \"stop\"",
      "severity": "error",
      "when": [
       {
        "keys": [
         "max_in_a_row"
        ],
        "test": "none_of",
        "values": [
         1000
        ]
       },
       {
        "keys": [
         "on_error"
        ],
        "test": "one_of",
        "values": [
         "stop"
        ]
       }
      ]
     }
    ],
    "type": "object",
    "what": "an object"
   }
  },
  "headers": {
   "default": null,
   "required": false,
   "rule": {
    "names": {
     "expects": "a header name that is not empty",
     "length_min": 1,
     "reserved_prefix": "pg_tide_",
     "type": "string",
     "what": "a string"
    },
    "nullable": true,
    "type": "map",
    "values": {
     "expects": "a string",
     "type": "string",
     "what": "a string"
    },
    "what": "an object or null"
   }
  },
  "idempotent": {
   "default": false,
   "required": false,
   "rule": {
    "type": "boolean",
    "what": "true or false"
   }
  },
  "linger_ms": {
   "default": 10,
   "required": false,
   "rule": {
    "expects": "a whole number from 0 to 900000 (ms)",
    "max": 900000,
    "min": 0,
    "type": "integer",
    "what": "a whole number"
   }
  },
  "message_key": {
   "default": null,
   "required": false,
   "rule": {
    "expects": "a record key template",
    "length_min": 1,
    "nullable": true,
    "template": {
     "dotted": [
      "payload",
      "headers"
     ],
     "literal": null,
     "literal_expects": null,
     "literal_length_max": null,
     "placeholders": [
      "dedup_key",
      "stream_table",
      "op",
      "outbox_id",
      "key"
     ],
     "refused": []
    },
    "type": "string",
    "what": "a string or null"
   }
  },
  "rate_limit": {
   "default": {
    "burst_size": null,
    "max_messages_per_second": null
   },
   "required": false,
   "rule": {
    "keys": {
     "burst_size": {
      "default": null,
      "required": false,
      "rule": {
       "expects": "a whole number from 1 to 10000000 (messages)",
       "max": 10000000,
       "min": 1,
       "nullable": true,
       "type": "integer",
       "what": "a whole number or null"
      }
     },
     "max_messages_per_second": {
      "default": null,
      "required": false,
      "rule": {
       "expects": "a whole number from 1 to 10000000 (messages/s)",
       "max": 10000000,
       "min": 1,
       "nullable": true,
       "type": "integer",
       "what": "a whole number or null"
      }
     }
    },
    "not_yet": [],
    "relations": [
     {
      "at": "burst_size",
      "message": "has no effect without max_messages_per_second",
      "severity": "error",
      "when": [
       {
        "keys": [
         "burst_size"
        ],
        "test": "set",
        "values": []
       },
       {
        "keys": [
         "max_messages_per_second"
        ],
        "test": "unset",
        "values": []
       }
      ]
     }
    ],
    "type": "object",
    "what": "an object"
   }
  },
  "request_timeout_ms": {
   "default": 30000,
   "required": false,
   "rule": {
    "expects": "a whole number from 1 to 900000 (ms)",
    "max": 900000,
    "min": 1,
    "type": "integer",
    "what": "a whole number"
   }
  },
  "retry": {
   "default": {
    "backoff_max_ms": 30000,
    "backoff_ms": 500
   },
   "required": false,
   "rule": {
    "keys": {
     "backoff_max_ms": {
      "default": 30000,
      "required": false,
      "rule": {
       "expects": "a whole number from 100 to 900000 (ms)",
       "max": 900000,
       "min": 100,
       "type": "integer",
       "what": "a whole number"
      }
     },
     "backoff_ms": {
      "default": 500,
      "required": false,
      "rule": {
       "expects": "a whole number from 100 to 900000 (ms)",
       "max": 900000,
       "min": 100,
       "type": "integer",
       "what": "a whole number"
      }
     }
    },
    "not_yet": [],
    "relations": [
     {
      "at": "backoff_max_ms",
      "message": "must not be below backoff_ms",
      "severity": "error",
      "when": [
       {
        "keys": [
         "backoff_ms",
         "backoff_max_ms"
        ],
        "test": "above",
        "values": []
       }
      ]
     }
    ],
    "type": "object",
    "what": "an object"
   }
  },
  "routing": {
   "default": {
    "rules": []
   },
   "required": false,
   "rule": {
    "keys": {
     "rules": {
      "default": [],
      "required": false,
      "rule": {
       "expects": "a list of at most 100 items",
       "items": {
        "keys": {
         "headers": {
          "default": null,
          "required": false,
          "rule": {
           "names": {
            "expects": "a header name that is not empty",
            "length_min": 1,
            "reserved_prefix": "pg_tide_",
            "type": "string",
            "what": "a string"
           },
           "nullable": true,
           "type": "map",
           "values": {
            "expects": "a string",
            "type": "string",
            "what": "a string"
           },
           "what": "an object or null"
          }
         },
         "message_key": {
          "default": null,
          "required": false,
          "rule": {
           "expects": "a record key template",
           "length_min": 1,
           "nullable": true,
           "template": {
            "dotted": [
             "payload",
             "headers"
            ],
            "literal": null,
            "literal_expects": null,
            "literal_length_max": null,
            "placeholders": [
             "dedup_key",
             "stream_table",
             "op",
             "outbox_id",
             "key"
            ],
            "refused": []
           },
           "type": "string",
           "what": "a string or null"
          }
         },
         "topic": {
          "required": true,
          "rule": {
           "expects": "a topic template",
           "length_min": 1,
           "template": {
            "dotted": [
             "payload",
             "headers"
            ],
            "literal": "[A-Za-z0-9._-]",
            "literal_expects": "a topic name has letters, digits, \".\", \"_\" and \"-\"",
            "literal_length_max": 249,
            "placeholders": [
             "stream_table",
             "op",
             "outbox_id"
            ],
            "refused": [
             ".",
             ".."
            ]
           },
           "type": "string",
           "what": "a string"
          }
         },
         "when": {
          "required": true,
          "rule": {
           "expects": "a string that is not empty",
           "length_min": 1,
           "type": "string",
           "what": "a string"
          }
         }
        },
        "not_yet": [],
        "relations": [
         {
          "at": "topic",
          "message": "{op} splits the history of one entity over several topics: its order is lost",
          "severity": "warning",
          "when": [
           {
            "keys": [
             "topic"
            ],
            "test": "uses",
            "values": [
             "op"
            ]
           }
          ]
         },
         {
          "at": "topic",
          "message": "{outbox_id} makes a topic of its own for every message",
          "severity": "warning",
          "when": [
           {
            "keys": [
             "topic"
            ],
            "test": "uses",
            "values": [
             "outbox_id"
            ]
           }
          ]
         }
        ],
        "type": "object",
        "what": "an object"
       },
       "length_max": 100,
       "type": "list",
       "what": "a list"
      }
     }
    },
    "not_yet": [],
    "relations": [],
    "type": "object",
    "what": "an object"
   }
  },
  "sasl_mechanism": {
   "default": null,
   "required": false,
   "rule": {
    "enum": [
     "PLAIN",
     "SCRAM-SHA-256",
     "SCRAM-SHA-512"
    ],
    "expects": "one of \"PLAIN\", \"SCRAM-SHA-256\", \"SCRAM-SHA-512\"",
    "not_yet": [],
    "nullable": true,
    "type": "string",
    "what": "a string or null"
   }
  },
  "sasl_password": {
   "default": null,
   "required": false,
   "rule": {
    "expects": "a string that is not empty",
    "length_min": 1,
    "nullable": true,
    "type": "string",
    "what": "a string or null"
   }
  },
  "sasl_username": {
   "default": null,
   "required": false,
   "rule": {
    "expects": "a string that is not empty",
    "length_min": 1,
    "nullable": true,
    "type": "string",
    "what": "a string or null"
   }
  },
  "schema_registry": {
   "default": {
    "auto_register": false,
    "bearer_token": null,
    "password": null,
    "timeout_ms": 5000,
    "tls_ca_cert": null,
    "tls_client_cert": null,
    "tls_client_key": null,
    "url": null,
    "username": null
   },
   "required": false,
   "rule": {
    "keys": {
     "auto_register": {
      "default": false,
      "required": false,
      "rule": {
       "type": "boolean",
       "what": "true or false"
      }
     },
     "bearer_token": {
      "default": null,
      "required": false,
      "rule": {
       "expects": "a string that is not empty",
       "length_min": 1,
       "nullable": true,
       "type": "string",
       "what": "a string or null"
      }
     },
     "password": {
      "default": null,
      "required": false,
      "rule": {
       "expects": "a string that is not empty",
       "length_min": 1,
       "nullable": true,
       "type": "string",
       "what": "a string or null"
      }
     },
     "timeout_ms": {
      "default": 5000,
      "required": false,
      "rule": {
       "expects": "a whole number from 1 to 60000 (ms)",
       "max": 60000,
       "min": 1,
       "type": "integer",
       "what": "a whole number"
      }
     },
     "tls_ca_cert": {
      "default": null,
      "required": false,
      "rule": {
       "expects": "a string that is not empty",
       "length_min": 1,
       "nullable": true,
       "type": "string",
       "what": "a string or null"
      }
     },
     "tls_client_cert": {
      "default": null,
      "required": false,
      "rule": {
       "expects": "a string that is not empty",
       "length_min": 1,
       "nullable": true,
       "type": "string",
       "what": "a string or null"
      }
     },
     "tls_client_key": {
      "default": null,
      "required": false,
      "rule": {
       "expects": "a string that is not empty",
       "length_min": 1,
       "nullable": true,
       "type": "string",
       "what": "a string or null"
      }
     },
     "url": {
      "default": null,
      "required": false,
      "rule": {
       "entries": {
        "expects": "an http:// or https:// URL without user, password and query",
        "pattern": "https?://(?:[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?|\\[[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*(?:%[A-Za-z0-9._-]+)?\\])(?::(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?(?:/[A-Za-z0-9._%/-]*)?",
        "separator": ","
       },
       "expects": "a comma-separated list of http:// or https:// URLs",
       "nullable": true,
       "type": "string",
       "what": "a string or null"
      }
     },
     "username": {
      "default": null,
      "required": false,
      "rule": {
       "expects": "a string that is not empty",
       "length_min": 1,
       "nullable": true,
       "type": "string",
       "what": "a string or null"
      }
     }
    },
    "not_yet": [],
    "relations": [
     {
      "at": "username",
      "message": "has no effect without url",
      "severity": "error",
      "when": [
       {
        "keys": [
         "username"
        ],
        "test": "set",
        "values": []
       },
       {
        "keys": [
         "url"
        ],
        "test": "unset",
        "values": []
       }
      ]
     },
     {
      "at": "password",
      "message": "has no effect without url",
      "severity": "error",
      "when": [
       {
        "keys": [
         "password"
        ],
        "test": "set",
        "values": []
       },
       {
        "keys": [
         "url"
        ],
        "test": "unset",
        "values": []
       }
      ]
     },
     {
      "at": "bearer_token",
      "message": "has no effect without url",
      "severity": "error",
      "when": [
       {
        "keys": [
         "bearer_token"
        ],
        "test": "set",
        "values": []
       },
       {
        "keys": [
         "url"
        ],
        "test": "unset",
        "values": []
       }
      ]
     },
     {
      "at": "tls_ca_cert",
      "message": "has no effect without url",
      "severity": "error",
      "when": [
       {
        "keys": [
         "tls_ca_cert"
        ],
        "test": "set",
        "values": []
       },
       {
        "keys": [
         "url"
        ],
        "test": "unset",
        "values": []
       }
      ]
     },
     {
      "at": "tls_client_cert",
      "message": "has no effect without url",
      "severity": "error",
      "when": [
       {
        "keys": [
         "tls_client_cert"
        ],
        "test": "set",
        "values": []
       },
       {
        "keys": [
         "url"
        ],
        "test": "unset",
        "values": []
       }
      ]
     },
     {
      "at": "tls_client_key",
      "message": "has no effect without url",
      "severity": "error",
      "when": [
       {
        "keys": [
         "tls_client_key"
        ],
        "test": "set",
        "values": []
       },
       {
        "keys": [
         "url"
        ],
        "test": "unset",
        "values": []
       }
      ]
     },
     {
      "at": "timeout_ms",
      "message": "has no effect without url",
      "severity": "error",
      "when": [
       {
        "keys": [
         "timeout_ms"
        ],
        "test": "none_of",
        "values": [
         5000
        ]
       },
       {
        "keys": [
         "url"
        ],
        "test": "unset",
        "values": []
       }
      ]
     },
     {
      "at": "auto_register",
      "message": "has no effect without url",
      "severity": "error",
      "when": [
       {
        "keys": [
         "auto_register"
        ],
        "test": "one_of",
        "values": [
         true
        ]
       },
       {
        "keys": [
         "url"
        ],
        "test": "unset",
        "values": []
       }
      ]
     },
     {
      "at": "username",
      "message": "required: username and password belong together",
      "severity": "error",
      "when": [
       {
        "keys": [
         "username"
        ],
        "test": "unset",
        "values": []
       },
       {
        "keys": [
         "password"
        ],
        "test": "set",
        "values": []
       }
      ]
     },
     {
      "at": "password",
      "message": "required: username and password belong together",
      "severity": "error",
      "when": [
       {
        "keys": [
         "password"
        ],
        "test": "unset",
        "values": []
       },
       {
        "keys": [
         "username"
        ],
        "test": "set",
        "values": []
       }
      ]
     },
     {
      "at": "tls_client_cert",
      "message": "required: tls_client_cert and tls_client_key belong together",
      "severity": "error",
      "when": [
       {
        "keys": [
         "tls_client_cert"
        ],
        "test": "unset",
        "values": []
       },
       {
        "keys": [
         "tls_client_key"
        ],
        "test": "set",
        "values": []
       }
      ]
     },
     {
      "at": "tls_client_key",
      "message": "required: tls_client_cert and tls_client_key belong together",
      "severity": "error",
      "when": [
       {
        "keys": [
         "tls_client_key"
        ],
        "test": "unset",
        "values": []
       },
       {
        "keys": [
         "tls_client_cert"
        ],
        "test": "set",
        "values": []
       }
      ]
     },
     {
      "at": "bearer_token",
      "message": "excludes username and password: choose one way to authenticate",
      "severity": "error",
      "when": [
       {
        "keys": [
         "bearer_token"
        ],
        "test": "set",
        "values": []
       },
       {
        "keys": [
         "username",
         "password"
        ],
        "test": "set",
        "values": []
       }
      ]
     }
    ],
    "type": "object",
    "what": "an object"
   }
  },
  "serialization": {
   "default": {
    "format": null,
    "key": null,
    "schema": null,
    "schema_file": null,
    "subject": null,
    "subject_name_strategy": null,
    "version": null
   },
   "required": false,
   "rule": {
    "keys": {
     "format": {
      "default": null,
      "required": false,
      "rule": {
       "enum": [
        "json",
        "avro"
       ],
       "expects": "one of \"json\", \"avro\"",
       "not_yet": [],
       "nullable": true,
       "type": "string",
       "what": "a string or null"
      }
     },
     "key": {
      "default": null,
      "required": false,
      "rule": {
       "enum": [
        "text",
        "avro"
       ],
       "expects": "one of \"text\", \"avro\"",
       "not_yet": [],
       "nullable": true,
       "type": "string",
       "what": "a string or null"
      }
     },
     "schema": {
      "default": null,
      "required": false,
      "rule": {
       "nullable": true,
       "options": {
        "object": {
         "names": {
          "expects": "a string",
          "type": "string",
          "what": "a string"
         },
         "type": "map",
         "values": {
          "type": "any",
          "what": "anything"
         },
         "what": "an object"
        },
        "string": {
         "expects": "a string that is not empty",
         "length_min": 1,
         "type": "string",
         "what": "a string"
        }
       },
       "type": "union",
       "what": "a string or an object or null"
      }
     },
     "schema_file": {
      "default": null,
      "required": false,
      "rule": {
       "expects": "a string that is not empty",
       "length_min": 1,
       "nullable": true,
       "type": "string",
       "what": "a string or null"
      }
     },
     "subject": {
      "default": null,
      "required": false,
      "rule": {
       "expects": "a string that is not empty",
       "length_min": 1,
       "nullable": true,
       "type": "string",
       "what": "a string or null"
      }
     },
     "subject_name_strategy": {
      "default": null,
      "required": false,
      "rule": {
       "enum": [
        "TopicNameStrategy",
        "RecordNameStrategy",
        "TopicRecordNameStrategy"
       ],
       "expects": "one of \"TopicNameStrategy\", \"RecordNameStrategy\", \"TopicRecordNameStrategy\"",
       "not_yet": [],
       "nullable": true,
       "type": "string",
       "what": "a string or null"
      }
     },
     "version": {
      "default": null,
      "required": false,
      "rule": {
       "nullable": true,
       "options": {
        "number": {
         "expects": "a whole number at least 1",
         "min": 1,
         "type": "integer",
         "what": "a whole number"
        },
        "string": {
         "enum": [
          "latest"
         ],
         "expects": "\"latest\"",
         "not_yet": [],
         "type": "string",
         "what": "a string"
        }
       },
       "type": "union",
       "what": "a whole number or a string or null"
      }
     }
    },
    "not_yet": [],
    "relations": [
     {
      "at": "schema_file",
      "message": "excludes schema: the schema comes from one place",
      "severity": "error",
      "when": [
       {
        "keys": [
         "schema"
        ],
        "test": "set",
        "values": []
       },
       {
        "keys": [
         "schema_file"
        ],
        "test": "set",
        "values": []
       }
      ]
     },
     {
      "at": "subject",
      "message": "excludes schema: the schema comes from one place",
      "severity": "error",
      "when": [
       {
        "keys": [
         "schema"
        ],
        "test": "set",
        "values": []
       },
       {
        "keys": [
         "subject"
        ],
        "test": "set",
        "values": []
       }
      ]
     },
     {
      "at": "subject",
      "message": "excludes schema_file: the schema comes from one place",
      "severity": "error",
      "when": [
       {
        "keys": [
         "schema_file"
        ],
        "test": "set",
        "values": []
       },
       {
        "keys": [
         "subject"
        ],
        "test": "set",
        "values": []
       }
      ]
     },
     {
      "at": "subject_name_strategy",
      "message": "excludes subject: the schema comes from one place",
      "severity": "error",
      "when": [
       {
        "keys": [
         "subject"
        ],
        "test": "set",
        "values": []
       },
       {
        "keys": [
         "subject_name_strategy"
        ],
        "test": "set",
        "values": []
       }
      ]
     },
     {
      "at": "subject",
      "message": "required: subject and version belong together",
      "severity": "error",
      "when": [
       {
        "keys": [
         "subject"
        ],
        "test": "unset",
        "values": []
       },
       {
        "keys": [
         "version"
        ],
        "test": "set",
        "values": []
       }
      ]
     },
     {
      "at": "version",
      "message": "required: subject and version belong together",
      "severity": "error",
      "when": [
       {
        "keys": [
         "version"
        ],
        "test": "unset",
        "values": []
       },
       {
        "keys": [
         "subject"
        ],
        "test": "set",
        "values": []
       }
      ]
     }
    ],
    "type": "object",
    "what": "an object"
   }
  },
  "shards": {
   "default": 1,
   "required": false,
   "rule": {
    "expects": "a whole number from 1 to 64 (shards)",
    "max": 64,
    "min": 1,
    "type": "integer",
    "what": "a whole number"
   }
  },
  "sink_type": {
   "required": true,
   "rule": {
    "enum": [
     "kafka"
    ],
    "expects": "\"kafka\"",
    "not_yet": [],
    "type": "string",
    "what": "a string"
   }
  },
  "tls_ca_cert": {
   "default": null,
   "required": false,
   "rule": {
    "expects": "a string that is not empty",
    "length_min": 1,
    "nullable": true,
    "type": "string",
    "what": "a string or null"
   }
  },
  "tls_client_cert": {
   "default": null,
   "required": false,
   "rule": {
    "expects": "a string that is not empty",
    "length_min": 1,
    "nullable": true,
    "type": "string",
    "what": "a string or null"
   }
  },
  "tls_client_key": {
   "default": null,
   "required": false,
   "rule": {
    "expects": "a string that is not empty",
    "length_min": 1,
    "nullable": true,
    "type": "string",
    "what": "a string or null"
   }
  },
  "tls_enabled": {
   "default": false,
   "required": false,
   "rule": {
    "type": "boolean",
    "what": "true or false"
   }
  },
  "topic": {
   "required": true,
   "rule": {
    "expects": "a topic template",
    "length_min": 1,
    "template": {
     "dotted": [
      "payload",
      "headers"
     ],
     "literal": "[A-Za-z0-9._-]",
     "literal_expects": "a topic name has letters, digits, \".\", \"_\" and \"-\"",
     "literal_length_max": 249,
     "placeholders": [
      "stream_table",
      "op",
      "outbox_id"
     ],
     "refused": [
      ".",
      ".."
     ]
    },
    "type": "string",
    "what": "a string"
   }
  },
  "topics": {
   "default": {
    "configs": null,
    "partitions": null,
    "policy": "broker",
    "replication": null
   },
   "required": false,
   "rule": {
    "keys": {
     "configs": {
      "default": null,
      "required": false,
      "rule": {
       "names": {
        "expects": "a string that is not empty",
        "length_min": 1,
        "type": "string",
        "what": "a string"
       },
       "nullable": true,
       "type": "map",
       "values": {
        "expects": "a string",
        "type": "string",
        "what": "a string"
       },
       "what": "an object or null"
      }
     },
     "partitions": {
      "default": null,
      "required": false,
      "rule": {
       "expects": "a whole number from 1 to 100000 (partitions)",
       "max": 100000,
       "min": 1,
       "nullable": true,
       "type": "integer",
       "what": "a whole number or null"
      }
     },
     "policy": {
      "default": "broker",
      "required": false,
      "rule": {
       "enum": [
        "broker",
        "require",
        "create"
       ],
       "expects": "one of \"broker\", \"require\", \"create\"",
       "not_yet": [],
       "type": "string",
       "what": "a string"
      }
     },
     "replication": {
      "default": null,
      "required": false,
      "rule": {
       "expects": "a whole number from 1 to 10000 (copies)",
       "max": 10000,
       "min": 1,
       "nullable": true,
       "type": "integer",
       "what": "a whole number or null"
      }
     }
    },
    "not_yet": [],
    "relations": [
     {
      "at": "partitions",
      "message": "has no effect unless policy is \"create\"",
      "severity": "error",
      "when": [
       {
        "keys": [
         "partitions"
        ],
        "test": "set",
        "values": []
       },
       {
        "keys": [
         "policy"
        ],
        "test": "none_of",
        "values": [
         "create"
        ]
       }
      ]
     },
     {
      "at": "replication",
      "message": "has no effect unless policy is \"create\"",
      "severity": "error",
      "when": [
       {
        "keys": [
         "replication"
        ],
        "test": "set",
        "values": []
       },
       {
        "keys": [
         "policy"
        ],
        "test": "none_of",
        "values": [
         "create"
        ]
       }
      ]
     },
     {
      "at": "configs",
      "message": "has no effect unless policy is \"create\"",
      "severity": "error",
      "when": [
       {
        "keys": [
         "configs"
        ],
        "test": "set",
        "values": []
       },
       {
        "keys": [
         "policy"
        ],
        "test": "none_of",
        "values": [
         "create"
        ]
       }
      ]
     }
    ],
    "type": "object",
    "what": "an object"
   }
  },
  "transactions": {
   "default": {
    "commit_interval_ms": 100,
    "cursor_topic": "pg_tide_cursors",
    "timeout_ms": 60000
   },
   "required": false,
   "rule": {
    "keys": {
     "commit_interval_ms": {
      "default": 100,
      "required": false,
      "rule": {
       "expects": "a whole number from 1 to 60000 (ms)",
       "max": 60000,
       "min": 1,
       "type": "integer",
       "what": "a whole number"
      }
     },
     "cursor_topic": {
      "default": "pg_tide_cursors",
      "required": false,
      "rule": {
       "expects": "a topic name: 1 to 249 letters, digits, \".\", \"_\" and \"-\"",
       "pattern": "[A-Za-z0-9_-][A-Za-z0-9._-]{0,248}",
       "type": "string",
       "what": "a string"
      }
     },
     "timeout_ms": {
      "default": 60000,
      "required": false,
      "rule": {
       "expects": "a whole number from 1000 to 900000 (ms)",
       "max": 900000,
       "min": 1000,
       "type": "integer",
       "what": "a whole number"
      }
     }
    },
    "not_yet": [],
    "relations": [
     {
      "at": "commit_interval_ms",
      "message": "must not be above timeout_ms",
      "severity": "error",
      "when": [
       {
        "keys": [
         "commit_interval_ms",
         "timeout_ms"
        ],
        "test": "above",
        "values": []
       }
      ]
     }
    ],
    "type": "object",
    "what": "an object"
   }
  },
  "transform": {
   "default": {
    "filter": null,
    "on_null": "pass",
    "payload": null
   },
   "required": false,
   "rule": {
    "keys": {
     "filter": {
      "default": null,
      "required": false,
      "rule": {
       "expects": "a string that is not empty",
       "length_min": 1,
       "nullable": true,
       "type": "string",
       "what": "a string or null"
      }
     },
     "on_null": {
      "default": "pass",
      "required": false,
      "rule": {
       "enum": [
        "pass",
        "drop"
       ],
       "expects": "one of \"pass\", \"drop\"",
       "not_yet": [],
       "type": "string",
       "what": "a string"
      }
     },
     "payload": {
      "default": null,
      "required": false,
      "rule": {
       "expects": "a string that is not empty",
       "length_min": 1,
       "nullable": true,
       "type": "string",
       "what": "a string or null"
      }
     }
    },
    "not_yet": [],
    "relations": [],
    "type": "object",
    "what": "an object"
   }
  },
  "wire_config": {
   "default": {
    "binary_handling_mode": null,
    "decimal_handling_mode": null,
    "emit_as": null,
    "emit_tombstones": null,
    "key_converter": null,
    "key_fields": null,
    "key_schemas_enable": null,
    "key_strategy": null,
    "mode": null,
    "payload_as": null,
    "row_schema": null,
    "schemas_enable": null,
    "server_name": null,
    "source": null,
    "table": null,
    "time_precision_mode": null,
    "type": null,
    "value_converter": null
   },
   "required": false,
   "rule": {
    "keys": {
     "binary_handling_mode": {
      "default": null,
      "required": false,
      "rule": {
       "enum": [
        "bytes",
        "base64",
        "base64-url-safe",
        "hex"
       ],
       "expects": "one of \"bytes\", \"base64\", \"base64-url-safe\", \"hex\"",
       "not_yet": [],
       "nullable": true,
       "type": "string",
       "what": "a string or null"
      }
     },
     "decimal_handling_mode": {
      "default": null,
      "required": false,
      "rule": {
       "enum": [
        "precise",
        "double",
        "string"
       ],
       "expects": "one of \"precise\", \"double\", \"string\"",
       "not_yet": [],
       "nullable": true,
       "type": "string",
       "what": "a string or null"
      }
     },
     "emit_as": {
      "default": null,
      "required": false,
      "rule": {
       "enum": [
        "c",
        "error",
        "key_only"
       ],
       "expects": "one of \"c\", \"error\", \"key_only\"",
       "not_yet": [],
       "nullable": true,
       "type": "string",
       "what": "a string or null"
      }
     },
     "emit_tombstones": {
      "default": null,
      "required": false,
      "rule": {
       "nullable": true,
       "type": "boolean",
       "what": "true or false or null"
      }
     },
     "key_converter": {
      "default": null,
      "required": false,
      "rule": {
       "enum": [
        "string",
        "json",
        "json_with_schema"
       ],
       "expects": "one of \"string\", \"json\", \"json_with_schema\"",
       "not_yet": [],
       "nullable": true,
       "type": "string",
       "what": "a string or null"
      }
     },
     "key_fields": {
      "default": null,
      "required": false,
      "rule": {
       "expects": "a list of 1 to 32 items",
       "items": {
        "expects": "a string that is not empty",
        "length_min": 1,
        "type": "string",
        "what": "a string"
       },
       "length_max": 32,
       "length_min": 1,
       "nullable": true,
       "type": "list",
       "what": "a list or null"
      }
     },
     "key_schemas_enable": {
      "default": null,
      "required": false,
      "rule": {
       "nullable": true,
       "type": "boolean",
       "what": "true or false or null"
      }
     },
     "key_strategy": {
      "default": null,
      "required": false,
      "rule": {
       "enum": [
        "text",
        "struct"
       ],
       "expects": "one of \"text\", \"struct\"",
       "not_yet": [],
       "nullable": true,
       "type": "string",
       "what": "a string or null"
      }
     },
     "mode": {
      "default": null,
      "required": false,
      "rule": {
       "enum": [
        "binary",
        "structured"
       ],
       "expects": "one of \"binary\", \"structured\"",
       "not_yet": [],
       "nullable": true,
       "type": "string",
       "what": "a string or null"
      }
     },
     "payload_as": {
      "default": null,
      "required": false,
      "rule": {
       "enum": [
        "row",
        "opaque"
       ],
       "expects": "one of \"row\", \"opaque\"",
       "not_yet": [],
       "nullable": true,
       "type": "string",
       "what": "a string or null"
      }
     },
     "row_schema": {
      "default": null,
      "required": false,
      "rule": {
       "nullable": true,
       "options": {
        "array": {
         "expects": "a list of 1 to 1600 items",
         "items": {
          "keys": {
           "name": {
            "required": true,
            "rule": {
             "expects": "a string that is not empty",
             "length_min": 1,
             "type": "string",
             "what": "a string"
            }
           },
           "type": {
            "required": true,
            "rule": {
             "expects": "a string that is not empty",
             "length_min": 1,
             "type": "string",
             "what": "a string"
            }
           }
          },
          "not_yet": [],
          "relations": [],
          "type": "object",
          "what": "an object"
         },
         "length_max": 1600,
         "length_min": 1,
         "type": "list",
         "what": "a list"
        },
        "number": {
         "expects": "a whole number at least 1",
         "min": 1,
         "type": "integer",
         "what": "a whole number"
        }
       },
       "type": "union",
       "what": "a list or a whole number or null"
      }
     },
     "schemas_enable": {
      "default": null,
      "required": false,
      "rule": {
       "nullable": true,
       "type": "boolean",
       "what": "true or false or null"
      }
     },
     "server_name": {
      "default": null,
      "required": false,
      "rule": {
       "expects": "a name of letters, digits, \".\", \"_\" and \"-\"",
       "nullable": true,
       "pattern": "[A-Za-z0-9._-]+",
       "type": "string",
       "what": "a string or null"
      }
     },
     "source": {
      "default": null,
      "required": false,
      "rule": {
       "expects": "a template of a source",
       "length_min": 1,
       "nullable": true,
       "template": {
        "dotted": [],
        "literal": null,
        "literal_expects": null,
        "literal_length_max": null,
        "placeholders": [
         "stream_table"
        ],
        "refused": []
       },
       "type": "string",
       "what": "a string or null"
      }
     },
     "table": {
      "default": null,
      "required": false,
      "rule": {
       "expects": "schema.table",
       "nullable": true,
       "pattern": "[A-Za-z0-9 _-]+\\.[A-Za-z0-9 _-]+",
       "type": "string",
       "what": "a string or null"
      }
     },
     "time_precision_mode": {
      "default": null,
      "required": false,
      "rule": {
       "enum": [
        "adaptive",
        "adaptive_time_microseconds",
        "connect",
        "isostring",
        "microseconds",
        "nanoseconds"
       ],
       "expects": "one of \"adaptive\", \"adaptive_time_microseconds\", \"connect\", \"isostring\", \"microseconds\", \"nanoseconds\"",
       "not_yet": [],
       "nullable": true,
       "type": "string",
       "what": "a string or null"
      }
     },
     "type": {
      "default": null,
      "required": false,
      "rule": {
       "expects": "a template of a type",
       "length_min": 1,
       "nullable": true,
       "template": {
        "dotted": [],
        "literal": null,
        "literal_expects": null,
        "literal_length_max": null,
        "placeholders": [
         "stream_table",
         "op"
        ],
        "refused": []
       },
       "type": "string",
       "what": "a string or null"
      }
     },
     "value_converter": {
      "default": null,
      "required": false,
      "rule": {
       "enum": [
        "string",
        "json",
        "json_with_schema"
       ],
       "expects": "one of \"string\", \"json\", \"json_with_schema\"",
       "not_yet": [],
       "nullable": true,
       "type": "string",
       "what": "a string or null"
      }
     }
    },
    "not_yet": [
     "envelope"
    ],
    "relations": [],
    "type": "object",
    "what": "an object"
   }
  },
  "wire_format": {
   "default": "native",
   "required": false,
   "rule": {
    "enum": [
     "native",
     "debezium",
     "avro",
     "cloudevents",
     "outbox_router"
    ],
    "expects": "one of \"native\", \"debezium\", \"avro\", \"cloudevents\", \"outbox_router\"",
    "not_yet": [],
    "type": "string",
    "what": "a string"
   }
  }
 },
 "not_yet": [],
 "relations": [
  {
   "at": "idempotent",
   "message": "idempotent true needs acks \"all\": choose acks \"all\" or idempotent false",
   "severity": "error",
   "when": [
    {
     "keys": [
      "idempotent"
     ],
     "test": "one_of",
     "values": [
      true
     ]
    },
    {
     "keys": [
      "acks"
     ],
     "test": "one_of",
     "values": [
      "0",
      "1"
     ]
    }
   ]
  },
  {
   "at": "sasl_mechanism",
   "message": "required: sasl_mechanism, sasl_username and sasl_password belong together",
   "severity": "error",
   "when": [
    {
     "keys": [
      "sasl_mechanism"
     ],
     "test": "unset",
     "values": []
    },
    {
     "keys": [
      "sasl_username",
      "sasl_password"
     ],
     "test": "set",
     "values": []
    }
   ]
  },
  {
   "at": "sasl_username",
   "message": "required: sasl_mechanism, sasl_username and sasl_password belong together",
   "severity": "error",
   "when": [
    {
     "keys": [
      "sasl_username"
     ],
     "test": "unset",
     "values": []
    },
    {
     "keys": [
      "sasl_mechanism",
      "sasl_password"
     ],
     "test": "set",
     "values": []
    }
   ]
  },
  {
   "at": "sasl_password",
   "message": "required: sasl_mechanism, sasl_username and sasl_password belong together",
   "severity": "error",
   "when": [
    {
     "keys": [
      "sasl_password"
     ],
     "test": "unset",
     "values": []
    },
    {
     "keys": [
      "sasl_mechanism",
      "sasl_username"
     ],
     "test": "set",
     "values": []
    }
   ]
  },
  {
   "at": "tls_ca_cert",
   "message": "has no effect unless tls_enabled is true",
   "severity": "error",
   "when": [
    {
     "keys": [
      "tls_ca_cert"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "tls_enabled"
     ],
     "test": "none_of",
     "values": [
      true
     ]
    }
   ]
  },
  {
   "at": "tls_client_cert",
   "message": "has no effect unless tls_enabled is true",
   "severity": "error",
   "when": [
    {
     "keys": [
      "tls_client_cert"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "tls_enabled"
     ],
     "test": "none_of",
     "values": [
      true
     ]
    }
   ]
  },
  {
   "at": "tls_client_key",
   "message": "has no effect unless tls_enabled is true",
   "severity": "error",
   "when": [
    {
     "keys": [
      "tls_client_key"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "tls_enabled"
     ],
     "test": "none_of",
     "values": [
      true
     ]
    }
   ]
  },
  {
   "at": "tls_client_cert",
   "message": "required: tls_client_cert and tls_client_key belong together",
   "severity": "error",
   "when": [
    {
     "keys": [
      "tls_client_cert"
     ],
     "test": "unset",
     "values": []
    },
    {
     "keys": [
      "tls_client_key"
     ],
     "test": "set",
     "values": []
    }
   ]
  },
  {
   "at": "tls_client_key",
   "message": "required: tls_client_cert and tls_client_key belong together",
   "severity": "error",
   "when": [
    {
     "keys": [
      "tls_client_key"
     ],
     "test": "unset",
     "values": []
    },
    {
     "keys": [
      "tls_client_cert"
     ],
     "test": "set",
     "values": []
    }
   ]
  },
  {
   "at": "wire_config.mode",
   "message": "has no effect unless wire_format is \"cloudevents\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.mode"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "none_of",
     "values": [
      "cloudevents"
     ]
    }
   ]
  },
  {
   "at": "wire_config.source",
   "message": "has no effect unless wire_format is \"cloudevents\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.source"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "none_of",
     "values": [
      "cloudevents"
     ]
    }
   ]
  },
  {
   "at": "wire_config.type",
   "message": "has no effect unless wire_format is \"cloudevents\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.type"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "none_of",
     "values": [
      "cloudevents"
     ]
    }
   ]
  },
  {
   "at": "wire_config.key_converter",
   "message": "has no effect unless wire_format is \"outbox_router\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.key_converter"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "none_of",
     "values": [
      "outbox_router"
     ]
    }
   ]
  },
  {
   "at": "wire_config.value_converter",
   "message": "has no effect unless wire_format is \"outbox_router\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.value_converter"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "none_of",
     "values": [
      "outbox_router"
     ]
    }
   ]
  },
  {
   "at": "wire_config.server_name",
   "message": "has no effect unless wire_format is \"debezium\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.server_name"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "none_of",
     "values": [
      "debezium"
     ]
    }
   ]
  },
  {
   "at": "wire_config.table",
   "message": "has no effect unless wire_format is \"debezium\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.table"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "none_of",
     "values": [
      "debezium"
     ]
    }
   ]
  },
  {
   "at": "wire_config.schemas_enable",
   "message": "has no effect unless wire_format is \"debezium\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.schemas_enable"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "none_of",
     "values": [
      "debezium"
     ]
    }
   ]
  },
  {
   "at": "wire_config.payload_as",
   "message": "has no effect unless wire_format is \"debezium\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.payload_as"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "none_of",
     "values": [
      "debezium"
     ]
    }
   ]
  },
  {
   "at": "wire_config.row_schema",
   "message": "has no effect unless wire_format is \"debezium\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.row_schema"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "none_of",
     "values": [
      "debezium"
     ]
    }
   ]
  },
  {
   "at": "wire_config.decimal_handling_mode",
   "message": "has no effect unless wire_format is \"debezium\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.decimal_handling_mode"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "none_of",
     "values": [
      "debezium"
     ]
    }
   ]
  },
  {
   "at": "wire_config.time_precision_mode",
   "message": "has no effect unless wire_format is \"debezium\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.time_precision_mode"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "none_of",
     "values": [
      "debezium"
     ]
    }
   ]
  },
  {
   "at": "wire_config.binary_handling_mode",
   "message": "has no effect unless wire_format is \"debezium\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.binary_handling_mode"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "none_of",
     "values": [
      "debezium"
     ]
    }
   ]
  },
  {
   "at": "wire_config.key_strategy",
   "message": "has no effect unless wire_format is \"debezium\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.key_strategy"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "none_of",
     "values": [
      "debezium"
     ]
    }
   ]
  },
  {
   "at": "wire_config.key_fields",
   "message": "has no effect unless wire_format is \"debezium\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.key_fields"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "none_of",
     "values": [
      "debezium"
     ]
    }
   ]
  },
  {
   "at": "wire_config.key_schemas_enable",
   "message": "has no effect unless wire_format is \"debezium\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.key_schemas_enable"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "none_of",
     "values": [
      "debezium"
     ]
    }
   ]
  },
  {
   "at": "wire_config.emit_as",
   "message": "has no effect unless wire_format is \"debezium\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.emit_as"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "none_of",
     "values": [
      "debezium"
     ]
    }
   ]
  },
  {
   "at": "wire_config.emit_tombstones",
   "message": "has no effect in cloudevents, where the mode decides",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.emit_tombstones"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "one_of",
     "values": [
      "cloudevents"
     ]
    }
   ]
  },
  {
   "at": "wire_config.decimal_handling_mode",
   "message": "has no effect without row_schema",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.decimal_handling_mode"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_config.row_schema"
     ],
     "test": "unset",
     "values": []
    }
   ]
  },
  {
   "at": "wire_config.time_precision_mode",
   "message": "has no effect without row_schema",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.time_precision_mode"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_config.row_schema"
     ],
     "test": "unset",
     "values": []
    }
   ]
  },
  {
   "at": "wire_config.binary_handling_mode",
   "message": "has no effect without row_schema",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.binary_handling_mode"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_config.row_schema"
     ],
     "test": "unset",
     "values": []
    }
   ]
  },
  {
   "at": "wire_config.row_schema",
   "message": "payload_as \"opaque\" has columns of its own: choose one of the two",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.row_schema"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_config.payload_as"
     ],
     "test": "one_of",
     "values": [
      "opaque"
     ]
    }
   ]
  },
  {
   "at": "wire_config.schemas_enable",
   "message": "needs the types of columns: give row_schema, or set payload_as to \"opaque\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.schemas_enable"
     ],
     "test": "one_of",
     "values": [
      true
     ]
    },
    {
     "keys": [
      "wire_config.row_schema"
     ],
     "test": "unset",
     "values": []
    },
    {
     "keys": [
      "wire_config.payload_as"
     ],
     "test": "none_of",
     "values": [
      "opaque"
     ]
    }
   ]
  },
  {
   "at": "wire_config.key_schemas_enable",
   "message": "needs the types of columns: give row_schema, or set payload_as to \"opaque\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.key_schemas_enable"
     ],
     "test": "one_of",
     "values": [
      true
     ]
    },
    {
     "keys": [
      "wire_config.row_schema"
     ],
     "test": "unset",
     "values": []
    },
    {
     "keys": [
      "wire_config.payload_as"
     ],
     "test": "none_of",
     "values": [
      "opaque"
     ]
    }
   ]
  },
  {
   "at": "wire_config.key_schemas_enable",
   "message": "has no effect unless key_strategy is \"struct\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.key_schemas_enable"
     ],
     "test": "one_of",
     "values": [
      true
     ]
    },
    {
     "keys": [
      "wire_config.key_strategy"
     ],
     "test": "none_of",
     "values": [
      "struct"
     ]
    }
   ]
  },
  {
   "at": "wire_config.key_strategy",
   "message": "needs key_fields",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.key_strategy"
     ],
     "test": "one_of",
     "values": [
      "struct"
     ]
    },
    {
     "keys": [
      "wire_config.key_fields"
     ],
     "test": "unset",
     "values": []
    },
    {
     "keys": [
      "wire_config.payload_as"
     ],
     "test": "none_of",
     "values": [
      "opaque"
     ]
    }
   ]
  },
  {
   "at": "wire_config.emit_as",
   "message": "needs key_fields",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.emit_as"
     ],
     "test": "one_of",
     "values": [
      "key_only"
     ]
    },
    {
     "keys": [
      "wire_config.key_fields"
     ],
     "test": "unset",
     "values": []
    },
    {
     "keys": [
      "wire_config.payload_as"
     ],
     "test": "none_of",
     "values": [
      "opaque"
     ]
    }
   ]
  },
  {
   "at": "wire_config.key_fields",
   "message": "has no effect when payload_as is \"opaque\": the key is id",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.key_fields"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_config.payload_as"
     ],
     "test": "one_of",
     "values": [
      "opaque"
     ]
    }
   ]
  },
  {
   "at": "acks",
   "message": "delivery \"exactly_once\" needs acks \"all\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "acks"
     ],
     "test": "one_of",
     "values": [
      "0",
      "1"
     ]
    },
    {
     "keys": [
      "delivery"
     ],
     "test": "one_of",
     "values": [
      "exactly_once"
     ]
    }
   ]
  },
  {
   "at": "transactions.cursor_topic",
   "message": "has no effect unless delivery is \"exactly_once\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "transactions.cursor_topic"
     ],
     "test": "none_of",
     "values": [
      "pg_tide_cursors"
     ]
    },
    {
     "keys": [
      "delivery"
     ],
     "test": "none_of",
     "values": [
      "exactly_once"
     ]
    }
   ]
  },
  {
   "at": "transactions.commit_interval_ms",
   "message": "has no effect unless delivery is \"exactly_once\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "transactions.commit_interval_ms"
     ],
     "test": "none_of",
     "values": [
      100
     ]
    },
    {
     "keys": [
      "delivery"
     ],
     "test": "none_of",
     "values": [
      "exactly_once"
     ]
    }
   ]
  },
  {
   "at": "transactions.timeout_ms",
   "message": "has no effect unless delivery is \"exactly_once\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "transactions.timeout_ms"
     ],
     "test": "none_of",
     "values": [
      60000
     ]
    },
    {
     "keys": [
      "delivery"
     ],
     "test": "none_of",
     "values": [
      "exactly_once"
     ]
    }
   ]
  },
  {
   "at": "schema_registry.url",
   "message": "required: wire_format \"avro\" needs a schema registry",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_format"
     ],
     "test": "one_of",
     "values": [
      "avro"
     ]
    },
    {
     "keys": [
      "schema_registry.url"
     ],
     "test": "unset",
     "values": []
    }
   ]
  },
  {
   "at": "serialization.schema",
   "message": "required: wire_format \"avro\" needs schema, schema_file, or subject and version",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_format"
     ],
     "test": "one_of",
     "values": [
      "avro"
     ]
    },
    {
     "keys": [
      "serialization.schema",
      "serialization.schema_file",
      "serialization.subject"
     ],
     "test": "unset",
     "values": []
    }
   ]
  },
  {
   "at": "serialization.schema",
   "message": "has no effect unless wire_format is \"avro\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "serialization.schema"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "none_of",
     "values": [
      "avro"
     ]
    }
   ]
  },
  {
   "at": "serialization.schema_file",
   "message": "has no effect unless wire_format is \"avro\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "serialization.schema_file"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "none_of",
     "values": [
      "avro"
     ]
    }
   ]
  },
  {
   "at": "serialization.subject",
   "message": "has no effect unless wire_format is \"avro\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "serialization.subject"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "none_of",
     "values": [
      "avro"
     ]
    }
   ]
  },
  {
   "at": "serialization.version",
   "message": "has no effect unless wire_format is \"avro\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "serialization.version"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "none_of",
     "values": [
      "avro"
     ]
    }
   ]
  },
  {
   "at": "schema_registry.url",
   "message": "has no effect unless wire_format or serialization.format is \"avro\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "schema_registry.url"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "none_of",
     "values": [
      "avro"
     ]
    },
    {
     "keys": [
      "serialization.format"
     ],
     "test": "none_of",
     "values": [
      "avro"
     ]
    }
   ]
  },
  {
   "at": "serialization.subject_name_strategy",
   "message": "has no effect unless wire_format or serialization.format is \"avro\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "serialization.subject_name_strategy"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "none_of",
     "values": [
      "avro"
     ]
    },
    {
     "keys": [
      "serialization.format"
     ],
     "test": "none_of",
     "values": [
      "avro"
     ]
    }
   ]
  },
  {
   "at": "serialization.key",
   "message": "has no effect unless wire_format or serialization.format is \"avro\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "serialization.key"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "none_of",
     "values": [
      "avro"
     ]
    },
    {
     "keys": [
      "serialization.format"
     ],
     "test": "none_of",
     "values": [
      "avro"
     ]
    }
   ]
  },
  {
   "at": "serialization.format",
   "message": "has no effect unless wire_format is \"debezium\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "serialization.format"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "none_of",
     "values": [
      "debezium"
     ]
    }
   ]
  },
  {
   "at": "schema_registry.url",
   "message": "required: serialization.format \"avro\" needs a schema registry",
   "severity": "error",
   "when": [
    {
     "keys": [
      "serialization.format"
     ],
     "test": "one_of",
     "values": [
      "avro"
     ]
    },
    {
     "keys": [
      "schema_registry.url"
     ],
     "test": "unset",
     "values": []
    }
   ]
  },
  {
   "at": "serialization.format",
   "message": "\"avro\" needs the types of columns: give wire_config.row_schema, or set payload_as to \"opaque\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "serialization.format"
     ],
     "test": "one_of",
     "values": [
      "avro"
     ]
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "one_of",
     "values": [
      "debezium"
     ]
    },
    {
     "keys": [
      "wire_config.row_schema"
     ],
     "test": "unset",
     "values": []
    },
    {
     "keys": [
      "wire_config.payload_as"
     ],
     "test": "none_of",
     "values": [
      "opaque"
     ]
    }
   ]
  },
  {
   "at": "wire_config.schemas_enable",
   "message": "has no effect where serialization.format is \"avro\": schemas are in the registry",
   "severity": "error",
   "when": [
    {
     "keys": [
      "serialization.format"
     ],
     "test": "one_of",
     "values": [
      "avro"
     ]
    },
    {
     "keys": [
      "wire_config.schemas_enable"
     ],
     "test": "set",
     "values": []
    }
   ]
  },
  {
   "at": "wire_config.key_schemas_enable",
   "message": "has no effect where serialization.format is \"avro\": schemas are in the registry",
   "severity": "error",
   "when": [
    {
     "keys": [
      "serialization.format"
     ],
     "test": "one_of",
     "values": [
      "avro"
     ]
    },
    {
     "keys": [
      "wire_config.key_schemas_enable"
     ],
     "test": "set",
     "values": []
    }
   ]
  },
  {
   "at": "serialization.key",
   "message": "\"text\" contradicts wire_config.key_strategy \"struct\"",
   "severity": "error",
   "when": [
    {
     "keys": [
      "serialization.format"
     ],
     "test": "one_of",
     "values": [
      "avro"
     ]
    },
    {
     "keys": [
      "wire_config.key_strategy"
     ],
     "test": "one_of",
     "values": [
      "struct"
     ]
    },
    {
     "keys": [
      "serialization.key"
     ],
     "test": "one_of",
     "values": [
      "text"
     ]
    }
   ]
  },
  {
   "at": "wire_config.emit_tombstones",
   "message": "has no effect in avro, where a delete without payload is always a record without value",
   "severity": "error",
   "when": [
    {
     "keys": [
      "wire_config.emit_tombstones"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "wire_format"
     ],
     "test": "one_of",
     "values": [
      "avro"
     ]
    }
   ]
  },
  {
   "at": "schema_registry.auto_register",
   "message": "has no effect where the schema comes from the registry",
   "severity": "error",
   "when": [
    {
     "keys": [
      "schema_registry.auto_register"
     ],
     "test": "one_of",
     "values": [
      true
     ]
    },
    {
     "keys": [
      "serialization.subject"
     ],
     "test": "set",
     "values": []
    },
    {
     "keys": [
      "serialization.key"
     ],
     "test": "none_of",
     "values": [
      "avro"
     ]
    }
   ]
  },
  {
   "at": "acks",
   "message": "a message can be lost when a broker fails; acks \"all\" is safe",
   "severity": "warning",
   "when": [
    {
     "keys": [
      "acks"
     ],
     "test": "one_of",
     "values": [
      "0",
      "1"
     ]
    }
   ]
  },
  {
   "at": "topic",
   "message": "{op} splits the history of one entity over several topics: its order is lost",
   "severity": "warning",
   "when": [
    {
     "keys": [
      "topic"
     ],
     "test": "uses",
     "values": [
      "op"
     ]
    }
   ]
  },
  {
   "at": "topic",
   "message": "{outbox_id} makes a topic of its own for every message",
   "severity": "warning",
   "when": [
    {
     "keys": [
      "topic"
     ],
     "test": "uses",
     "values": [
      "outbox_id"
     ]
    }
   ]
  }
 ],
 "type": "object",
 "what": "an object"
}
$rules$::jsonb
$$;
comment on function tide._config_rules() is
  'The rules of a pipeline''s configuration as one document.';

create or replace view tide.config_keys
  (number, key, type, accepts, unit, required, default_value, description, reason, reaches)
as
  select k.number, k.key, k.type, k.accepts, k.unit, k.required, k.default_value::jsonb,
         k.description, k.reason, k.reaches
    from (values
    (1, 'sink_type', 'string', '"kafka"', null, true, null, 'The kind of sink; must be `"kafka"`.', 'says what the other keys mean', null),
    (2, 'brokers', 'string', 'a comma-separated list of host:port', null, true, null, 'Brokers to begin with, comma-separated `host:port`; an IPv6 address in brackets.', 'only the user knows the cluster', 'bootstrap.servers'),
    (3, 'topic', 'string', 'a topic template', null, true, null, 'Target topic; `{stream_table}` is the outbox''s name, `{op}` is `insert`, `update` or `delete`, `{outbox_id}` the message''s id, `{payload.a.b}` a member of the payload, `{headers.name}` one of the message''s headers.', 'only the user knows the topic', 'the record''s topic'),
    (4, 'sasl_mechanism', 'string', 'one of "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"', null, false, 'null', 'How the relay proves who it is; needs `sasl_username` and `sasl_password`.', 'no authentication', 'sasl.mechanism, security.protocol'),
    (5, 'sasl_username', 'string', 'a string that is not empty', null, false, 'null', 'SASL user name, or the API key of a managed service.', 'no authentication', 'sasl.username'),
    (6, 'sasl_password', 'string', 'a string that is not empty', null, false, 'null', 'SASL password, or the API secret; give it as `${env:KAFKA_PASSWORD}`, so that the database does not hold it.', 'no authentication', 'sasl.password'),
    (7, 'tls_enabled', 'bool', 'true or false', null, false, 'false', 'Whether connections to brokers are encrypted.', 'the brokers'' own default', 'security.protocol'),
    (8, 'tls_ca_cert', 'string', 'a string that is not empty', null, false, 'null', 'Path, on the relay''s machine, of the CA certificate that brokers must show.', 'the system''s certificate authorities', 'ssl.ca.location'),
    (9, 'tls_client_cert', 'string', 'a string that is not empty', null, false, 'null', 'Path of the relay''s own certificate (mTLS); needs `tls_client_key`.', 'no client certificate', 'ssl.certificate.location'),
    (10, 'tls_client_key', 'string', 'a string that is not empty', null, false, 'null', 'Path of the private key of `tls_client_cert`.', 'no client certificate', 'ssl.key.location'),
    (11, 'compression', 'string', 'one of "none", "gzip", "snappy", "lz4", "zstd"', null, false, '"none"', 'How produce batches are compressed.', 'costs no CPU; zstd suits most pipelines', 'compression.type'),
    (12, 'acks', 'string', 'one of "0", "1", "all"', null, false, '"all"', 'When a message counts as delivered: `0` at once, `1` when the leader has written it, `all` when every in-sync replica has.', 'what was acknowledged is not lost', 'acks'),
    (13, 'batch_size', 'int', 'a whole number from 1 to 10000 (messages)', 'messages', false, '100', 'Most messages in one produce batch.', 'small latency; 500 to 1000 suits a high volume', 'batch.num.messages, messages read at a time'),
    (14, 'linger_ms', 'int', 'a whole number from 0 to 900000 (ms)', 'ms', false, '10', 'How long the producer waits for a batch to fill.', 'hardly felt, and fills batches', 'linger.ms'),
    (15, 'idempotent', 'bool', 'true or false', null, false, 'false', 'Whether the broker must drop the producer''s own repeats: `true` makes it an error where the cluster refuses; `false` uses it where the cluster permits.', 'works where the cluster gives no right to it', 'enable.idempotence'),
    (16, 'request_timeout_ms', 'int', 'a whole number from 1 to 900000 (ms)', 'ms', false, '30000', 'How long a broker may take to answer a produce request.', 'Kafka''s own default', 'request.timeout.ms, the detection of an absent cluster'),
    (17, 'message_key', 'string', 'a record key template', null, false, 'null', 'Template of the record''s key, which decides the partition: `{dedup_key}`, `{key}`, `{stream_table}`, `{op}`, `{outbox_id}`, `{payload.a.b}`, `{headers.name}`.', 'the message''s key, else its dedup key', 'the record''s key'),
    (18, 'headers', 'object', 'an object', null, false, 'null', 'Headers on every record; names with `pg_tide_` are reserved.', 'none beside those of the message', 'the record''s headers'),
    (19, 'wire_format', 'string', 'one of "native", "debezium", "avro", "cloudevents", "outbox_router"', null, false, '"native"', 'How a message becomes the record''s bytes: `native` is the payload as it is, `debezium` a change event as Debezium writes it, `avro` the payload in Avro with the id of its registered schema, `cloudevents` an event of CloudEvents 1.0, `outbox_router` the record of Debezium''s outbox event router.', 'the payload as PostgreSQL renders it', 'the record''s value and headers'),
    (20, 'wire_config', 'object', 'an object', null, false, '{"emit_tombstones": null, "mode": null, "source": null, "type": null, "server_name": null, "table": null, "schemas_enable": null, "payload_as": null, "row_schema": null, "decimal_handling_mode": null, "time_precision_mode": null, "binary_handling_mode": null, "key_strategy": null, "key_fields": null, "key_schemas_enable": null, "emit_as": null, "key_converter": null, "value_converter": null}', 'Options of the wire format.', 'see its keys', null),
    (21, 'wire_config.emit_tombstones', 'bool', 'true or false', null, false, 'null', 'Whether a delete makes a record without value: in Debezium''s format a second one behind the event, in the native format and an outbox router''s in place of a payload that is missing; else its value is the JSON `null`.', '`true` for Debezium, as there; else `false`, because a tombstone makes compaction forget the key', 'the record''s value'),
    (22, 'wire_config.mode', 'string', 'one of "binary", "structured"', null, false, 'null', 'CloudEvents'' content mode: `binary` has attributes as headers and the payload as value, `structured` all in one JSON document.', '`binary`, whose value is the payload alone', 'the record''s value and headers'),
    (23, 'wire_config.source', 'string', 'a template of a source', null, false, 'null', 'The event''s `source`, a URI or the end of one; `{stream_table}` is the outbox.', '`/{stream_table}`', 'the event''s source'),
    (24, 'wire_config.type', 'string', 'a template of a type', null, false, 'null', 'The event''s `type`; `{stream_table}` and `{op}`.', '`{stream_table}.{op}`', 'the event''s type'),
    (25, 'wire_config.server_name', 'string', 'a name of letters, digits, ".", "_" and "-"', null, false, 'null', 'What Debezium calls `topic.prefix`.', 'the first of the three names in a topic such as `dbserver1.public.orders`, else `pg_tide`', 'source.name, the names of schemas'),
    (26, 'wire_config.table', 'string', 'schema.table', null, false, 'null', 'The table whose rows the payloads are, as `schema.table`.', 'the other two names in such a topic, else `tide` and the outbox', 'source.schema, source.table, the names of schemas'),
    (27, 'wire_config.schemas_enable', 'bool', 'true or false', null, false, 'null', 'Whether the value has its schema beside it, as JsonConverter''s `schemas.enable`; needs `row_schema`, or `payload_as` `opaque`.', '`false`: types have to be declared for it', 'the record''s value'),
    (28, 'wire_config.payload_as', 'string', 'one of "row", "opaque"', null, false, 'null', 'What a payload is in `before` and `after`: `row`, an object with columns, or `opaque`, any JSON in one column `payload` beside `id`, the record''s key.', '`row`', 'the record''s value'),
    (29, 'wire_config.row_schema', 'union', 'a list or a whole number', null, false, 'null', 'The types of the payload''s members, in order; they are converted as Debezium does.', 'payloads are sent as they are, and readers find the types', 'the record''s value'),
    (30, 'wire_config.decimal_handling_mode', 'string', 'one of "precise", "double", "string"', null, false, 'null', 'Debezium''s `decimal.handling.mode`, for columns of type `numeric`.', '`precise`, as Debezium''s', 'the record''s value'),
    (31, 'wire_config.time_precision_mode', 'string', 'one of "adaptive", "adaptive_time_microseconds", "connect", "isostring", "microseconds", "nanoseconds"', null, false, 'null', 'Debezium''s `time.precision.mode`, for dates and times without zone.', '`adaptive`, as Debezium''s', 'the record''s value'),
    (32, 'wire_config.binary_handling_mode', 'string', 'one of "bytes", "base64", "base64-url-safe", "hex"', null, false, 'null', 'Debezium''s `binary.handling.mode`, for columns of type `bytea`.', '`bytes`, as Debezium''s', 'the record''s value'),
    (33, 'wire_config.key_strategy', 'string', 'one of "text", "struct"', null, false, 'null', 'The record''s key: `text` is what `message_key` says, `struct` a JSON object of columns, as Debezium''s.', '`text`, as in every format', 'the record''s key'),
    (34, 'wire_config.key_fields', 'list', 'a list of 1 to 32 items', null, false, 'null', 'The columns of the primary key.', 'only the user knows them', 'the record''s key, before'),
    (35, 'wire_config.key_schemas_enable', 'bool', 'true or false', null, false, 'null', 'Whether a key of `struct` has its schema beside it.', '`false`, as for the value', 'the record''s key'),
    (36, 'wire_config.emit_as', 'string', 'one of "c", "error", "key_only"', null, false, 'null', 'What becomes of an update or a delete without old payload: `c` sends an update as if it were new, `key_only` with a `before` of `key_fields` alone, `error` not at all. A delete is `key_only` with `c`, too.', '`c`, which every reader takes; a `before` of null in an update stops Flink', 'op, before'),
    (37, 'wire_config.key_converter', 'string', 'one of "string", "json", "json_with_schema"', null, false, 'null', 'Whose bytes an outbox router''s key has: `string` those of Connect''s StringConverter, `json` of its JsonConverter without schemas, `json_with_schema` with them.', '`string`, the key as it is', 'the record''s key'),
    (38, 'wire_config.value_converter', 'string', 'one of "string", "json", "json_with_schema"', null, false, 'null', 'The same of the value: `string` is the payload, `json` the payload as an escaped JSON string, `json_with_schema` that string beside its schema.', '`string`, the payload as it is', 'the record''s value'),
    (39, 'serialization', 'object', 'an object', null, false, '{"schema": null, "format": null, "subject_name_strategy": null, "schema_file": null, "subject": null, "version": null, "key": null}', 'The schemas that records are written with.', 'see its keys', null),
    (40, 'serialization.schema', 'union', 'a string or an object', null, false, 'null', 'The value''s Avro schema itself: a JSON object, or the same as a string.', 'only the user knows the schema', 'the record''s value'),
    (41, 'serialization.format', 'string', 'one of "json", "avro"', null, false, 'null', 'How Debezium''s change events are written: `json`, or `avro` as by Confluent''s AvroConverter, which needs `row_schema` or `payload_as` `opaque`.', '`json`, which needs no registry', 'the record''s key and value'),
    (42, 'serialization.subject_name_strategy', 'string', 'one of "TopicNameStrategy", "RecordNameStrategy", "TopicRecordNameStrategy"', null, false, 'null', 'The subject of a value''s schema: `TopicNameStrategy` is `<topic>-value`, `RecordNameStrategy` the record''s full name, `TopicRecordNameStrategy` both, as in `<topic>-<name>`.', '`TopicNameStrategy`, what registries and readers expect', 'the subject'),
    (43, 'serialization.schema_file', 'string', 'a string that is not empty', null, false, 'null', 'Path, on the relay''s machine, of a file that holds it; read when the pipeline starts.', '`schema` has it', 'the record''s value'),
    (44, 'serialization.subject', 'string', 'a string that is not empty', null, false, 'null', 'The subject in the registry whose schema is the value''s; needs `version`.', '`schema` has it', 'the record''s value'),
    (45, 'serialization.version', 'union', 'a whole number or a string', null, false, 'null', 'Its version: a number, or `latest`, which is looked up when the pipeline starts.', '`schema` has it', 'the record''s value'),
    (46, 'serialization.key', 'string', 'one of "text", "avro"', null, false, 'null', 'How the record''s key is written: `text` as it is, `avro` as an Avro string under the subject `<topic>-key`. A key of `key_strategy` `struct` is always Avro.', '`text`, which every consumer reads', 'the record''s key'),
    (47, 'schema_registry', 'object', 'an object', null, false, '{"url": null, "username": null, "password": null, "bearer_token": null, "tls_ca_cert": null, "tls_client_cert": null, "tls_client_key": null, "timeout_ms": 5000, "auto_register": false}', 'The registry that knows the schemas.', 'see its keys', null),
    (48, 'schema_registry.url', 'string', 'a comma-separated list of http:// or https:// URLs', null, false, 'null', 'Where the registry''s API begins, as in `http://schemas:8081` or, for Apicurio, `http://schemas:8080/apis/ccompat/v7`; of several, comma-separated, the next one is asked when one is away.', 'no schema registry', 'the registry''s client'),
    (49, 'schema_registry.username', 'string', 'a string that is not empty', null, false, 'null', 'User name, or the API key of a managed registry; needs `password`.', 'no authentication', 'HTTP basic authentication'),
    (50, 'schema_registry.password', 'string', 'a string that is not empty', null, false, 'null', 'Password, or the API secret; give it as `${env:SCHEMA_REGISTRY_PASSWORD}`, so that the database does not hold it.', 'no authentication', 'HTTP basic authentication'),
    (51, 'schema_registry.bearer_token', 'string', 'a string that is not empty', null, false, 'null', 'Token in place of user name and password; give it as `${env:SCHEMA_REGISTRY_TOKEN}`.', 'no authentication', 'the header Authorization'),
    (52, 'schema_registry.tls_ca_cert', 'string', 'a string that is not empty', null, false, 'null', 'Path, on the relay''s machine, of the CA certificate that the registry must show.', 'the system''s certificate authorities', 'TLS to the registry'),
    (53, 'schema_registry.tls_client_cert', 'string', 'a string that is not empty', null, false, 'null', 'Path of the relay''s own certificate (mTLS); needs `tls_client_key`.', 'no client certificate', 'TLS to the registry'),
    (54, 'schema_registry.tls_client_key', 'string', 'a string that is not empty', null, false, 'null', 'Path of the private key of `tls_client_cert`.', 'no client certificate', 'TLS to the registry'),
    (55, 'schema_registry.timeout_ms', 'int', 'a whole number from 1 to 60000 (ms)', 'ms', false, '5000', 'How long the registry may take to connect, and to answer; then it counts as away.', 'a registry answers in a few', 'the registry''s client'),
    (56, 'schema_registry.auto_register', 'bool', 'true or false', null, false, 'false', 'Whether the relay registers a schema that its subject does not have, once the registry finds it compatible.', 'who may change a contract should be decided', 'the registry'),
    (57, 'transform', 'object', 'an object', null, false, '{"filter": null, "payload": null, "on_null": "pass"}', 'Which messages are sent, and in which shape.', 'see its keys', null),
    (58, 'transform.filter', 'string', 'a string that is not empty', null, false, 'null', 'JMESPath expression over the payload; a message for which it is false (null, `false`, empty string, array or object; not 0) is not sent, and counts as done.', 'every message is sent', 'which messages are sent'),
    (59, 'transform.payload', 'string', 'a string that is not empty', null, false, 'null', 'JMESPath expression whose value is sent instead of the payload; the old payload gets the same shape.', 'the payload as it was published', 'the record''s value'),
    (60, 'transform.on_null', 'string', 'one of "pass", "drop"', null, false, '"pass"', 'What the filter makes of a message with neither payload nor old payload: `pass` sends it, `drop` does not.', 'a delete says something even without a payload', 'which messages are sent'),
    (61, 'routing', 'object', 'an object', null, false, '{"rules": []}', 'Which message goes to which topic.', 'see its keys', null),
    (62, 'routing.rules', 'list', 'a list of at most 100 items', null, false, '[]', 'Rules in the order in which they are asked; a message that none of them takes goes to `topic`.', 'all messages go to `topic`', 'the record''s topic, key and headers'),
    (63, 'routing.rules[].when', 'string', 'a string that is not empty', null, true, null, 'JMESPath expression over what the filter sees; the first rule for which it is true decides.', 'only the user knows which messages', 'the record''s topic'),
    (64, 'routing.rules[].topic', 'string', 'a topic template', null, true, null, 'Template of the topic for these messages.', 'only the user knows the topic', 'the record''s topic'),
    (65, 'routing.rules[].message_key', 'string', 'a record key template', null, false, 'null', 'Template of the record''s key for these messages.', 'the pipeline''s `message_key`', 'the record''s key'),
    (66, 'routing.rules[].headers', 'object', 'an object', null, false, 'null', 'Headers for these messages, beside and before the pipeline''s of the same name.', 'only the pipeline''s', 'the record''s headers'),
    (67, 'topics', 'object', 'an object', null, false, '{"policy": "broker", "partitions": null, "replication": null, "configs": null}', 'How topics that do not exist are treated.', 'see its keys', null),
    (68, 'topics.policy', 'string', 'one of "broker", "require", "create"', null, false, '"broker"', 'What happens when a topic does not exist: `broker` leaves its creation to the broker''s `auto.create.topics.enable`, `require` never asks for it, `create` makes the relay create it.', 'what a Kafka client does when nobody says otherwise', 'allow.auto.create.topics, the admin API'),
    (69, 'topics.partitions', 'int', 'a whole number from 1 to 100000 (partitions)', 'partitions', false, 'null', 'Number of partitions of a topic that the relay creates.', 'the broker''s `num.partitions`', 'the topic that is created'),
    (70, 'topics.replication', 'int', 'a whole number from 1 to 10000 (copies)', 'copies', false, 'null', 'Copies of each partition of a topic that the relay creates.', 'the broker''s `default.replication.factor`', 'the topic that is created'),
    (71, 'topics.configs', 'object', 'an object', null, false, 'null', 'Kafka''s settings of a topic that the relay creates, such as `{"cleanup.policy": "compact"}`; all values are strings.', 'the broker''s own', 'the topic that is created'),
    (72, 'dlq', 'object', 'an object', null, false, '{"on_error": "continue", "max_parked_keys": 10000, "max_in_a_row": 1000, "retention_days": 14}', 'What becomes of a message that can''t be delivered.', 'see its keys', null),
    (73, 'dlq.on_error', 'string', 'one of "continue", "park_key", "stop"', null, false, '"continue"', 'What happens when a message itself can''t be delivered (an outage never counts): `continue` keeps it as a dead letter and goes on; `park_key` keeps it, and later messages of its key wait behind it; `stop` stops the pipeline at it.', 'one bad message must not stop all others', '`tide.dead_letters`'),
    (74, 'dlq.max_parked_keys', 'int', 'a whole number from 1 to 100000 (keys)', 'keys', false, '10000', 'Most keys that may wait behind a dead letter at a time; at the next one the pipeline stops, and drops nothing.', 'a fault of all messages should not park them all', 'memory'),
    (75, 'dlq.max_in_a_row', 'int', 'a whole number from 1 to 1000000 (messages)', 'messages', false, '1000', 'Most messages that become dead letters one right after the other; at the next one the pipeline stops, and drops nothing.', 'then it is hardly the messages'' fault', '`tide.dead_letters`'),
    (76, 'dlq.retention_days', 'int', 'a whole number from 1 to 3650 (days)', 'days', false, '14', 'How long dead letters are kept after they were redriven or discarded; those that wait for a decision are kept for ever.', 'time to look what happened', '`tide.dlq_retention_run`'),
    (77, 'retry', 'object', 'an object', null, false, '{"backoff_ms": 500, "backoff_max_ms": 30000}', 'The pauses between two attempts at what keeps the pipeline from going on.', 'see its keys', null),
    (78, 'retry.backoff_ms', 'int', 'a whole number from 100 to 900000 (ms)', 'ms', false, '500', 'The first pause; each further one is twice as long, and by chance up to half of that shorter.', 'over before anybody looks', 'the first pause'),
    (79, 'retry.backoff_max_ms', 'int', 'a whole number from 100 to 900000 (ms)', 'ms', false, '30000', 'The longest pause; attempts go on without end.', 'how late a cure is noticed at most', 'all further pauses'),
    (80, 'rate_limit', 'object', 'an object', null, false, '{"max_messages_per_second": null, "burst_size": null}', 'How fast messages may be handed over.', 'see its keys', null),
    (81, 'rate_limit.max_messages_per_second', 'int', 'a whole number from 1 to 10000000 (messages/s)', 'messages/s', false, 'null', 'Most messages a second that the pipeline sends, resent ones and tombstones included.', 'as fast as the cluster takes them', 'the hand-over to the client'),
    (82, 'rate_limit.burst_size', 'int', 'a whole number from 1 to 10000000 (messages)', 'messages', false, 'null', 'Most messages that may go at once after a pause. The relay looks every few milliseconds: below a hundredth of the rate the rate is not reached.', 'a second''s worth', 'the hand-over to the client'),
    (83, 'shards', 'int', 'a whole number from 1 to 64 (shards)', 'shards', false, '1', 'How many parts the pipeline has, by a hash of the record''s key, that relays may drive at a time.', 'each further one reads all messages once more', '`tide.shards`'),
    (84, 'delivery', 'string', 'one of "at_least_once", "exactly_once"', null, false, '"at_least_once"', '`at_least_once`: a crash may repeat messages. `exactly_once`: in transactions, so that consumers that read with `isolation.level=read_committed` see each message once, whatever dies.', 'needs nothing of the cluster, and costs nothing', 'transactional.id'),
    (85, 'transactions', 'object', 'an object', null, false, '{"cursor_topic": "pg_tide_cursors", "commit_interval_ms": 100, "timeout_ms": 60000}', 'The transactions of a pipeline that delivers exactly once.', 'see its keys', null),
    (86, 'transactions.cursor_topic', 'string', 'a topic name: 1 to 249 letters, digits, ".", "_" and "-"', null, false, '"pg_tide_cursors"', 'Topic that keeps how far pipelines have come, one small record in each transaction. The relay creates it with one partition and `cleanup.policy=compact`; one that is there must have both.', 'one topic for all pipelines of a cluster', 'a record in every transaction'),
    (87, 'transactions.commit_interval_ms', 'int', 'a whole number from 1 to 60000 (ms)', 'ms', false, '100', 'How long a transaction stays open while there are more messages to come; without more it ends at once. Consumers see its records when it ends.', 'hardly felt, and a commit costs milliseconds', 'latency'),
    (88, 'transactions.timeout_ms', 'int', 'a whole number from 1000 to 900000 (ms)', 'ms', false, '60000', 'How long a transaction may stay open before the cluster ends it: so long a relay that died may hold back the consumers of its topics, if no other takes over. At most the brokers'' `transaction.max.timeout.ms`.', 'Kafka''s own default', 'transaction.timeout.ms')
    ) as k (number, key, type, accepts, unit, required, default_value, description, reason, reaches);
comment on view tide.config_keys is
  'The keys of a pipeline''s configuration, as tide.relay_set_outbox takes them.';
comment on column tide.config_keys.number is 'Order of the keys for people.';
comment on column tide.config_keys.key is 'The key; dotted when it is inside another.';
comment on column tide.config_keys.type is 'string, int, number, bool, object or list.';
comment on column tide.config_keys.accepts is 'The values it takes, in words.';
comment on column tide.config_keys.unit is 'Unit of a number, null when it has none.';
comment on column tide.config_keys.required is 'Whether it must be given.';
comment on column tide.config_keys.default_value is 'Its value when it is not given; null when required.';
comment on column tide.config_keys.description is 'What it means.';
comment on column tide.config_keys.reason is 'Why the default is what it is.';
comment on column tide.config_keys.reaches is 'The property of the Kafka client it sets, or where else it takes effect.';
