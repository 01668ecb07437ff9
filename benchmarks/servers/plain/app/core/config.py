from pydantic_settings import BaseSettings


class Settings(BaseSettings):
    APP_TITLE: str = "Plain"
    APP_DESCRIPTION: str = ""
    APP_VERSION: str = "0.1.0"
    DEBUG: bool = False
    DATABASE_URL: str


settings = Settings()
